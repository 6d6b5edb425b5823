"""A controller of many environments at once: Gymnasium's vector environments, or any batch that advances in step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from ..agent import Agent, AgentState
from ..arrays import Bool, Float
from ..batch import chosen, redirect_many, reset_many, step_many
from ..types import Status
from .engine.filling import LEAST_TRUST
from .engine.live import LiveEngine
from .exclusive import Exclusive
from .loop.status import Reason, Source
from .plan_watch import PlanWatch
from .senses import Senses

# Compiled once per process and shape: the agent is a pytree, so other weights are only another argument.
_reset = jax.jit(reset_many)
_step = jax.jit(step_many)
_redirect = jax.jit(redirect_many)
_chosen = jax.jit(chosen)


@final
class VectorController:
    """One agent in N environments, each of which gets the actions that a `Controller` of its own would give.

    Environments are planned for side by side. For measurements, data and baselines; a robot has a `Controller` or a
    `RealtimeController`. Observations are checked as there, and while planning fails in an environment, the rest of its
    last good plan is executed, then the rest action.

    One thread at a time may call it (RuntimeError otherwise).

    Args:
      agent: for all environments. With `precision="auto"` it plans in float32.
      num_envs: N.
      seed: of the episodes, which are numbered as they begin, in the order of the environments.
      observation_low: [O] or one number, the lowest plausible reading and goal; None: that of the training data.
      observation_high: likewise the highest.
      words: names, units and ranges of sensors and actuators, as `LiveEngine` takes them.

    Raises:
      ValueError: fewer than 1 environment, or the parts of the agent, or range and sensors, do not fit.
    """

    def __init__(
        self,
        agent: Agent,
        num_envs: int,
        seed: int = 0,
        observation_low: Any = None,
        observation_high: Any = None,
        words: Mapping[str, Any] | None = None,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1; got {num_envs}")
        agent = replace(agent, precision="float32") if agent.precision == "auto" else agent
        engine = LiveEngine(agent, **(words or {}))
        self._agent, self._contract = engine.agent, engine.contract
        self._senses = [Senses(observation_low, observation_high, LEAST_TRUST) for _ in range(num_envs)]
        self._watches = [PlanWatch() for _ in range(num_envs)]
        for senses, watch in zip(self._senses, self._watches, strict=True):
            senses.follow(engine)
            watch.follow(self._contract)
        self._key, self._begun = jax.random.key(seed), 0
        self._goals: list[ndarray | None] = [None] * num_envs
        self._states: AgentState | None = None
        self._sent = np.tile(self._contract.rest_action, (num_envs, 1))
        self._alone = Exclusive("vector controller", "one for each")

    @property
    def num_envs(self) -> int:
        """N."""
        return len(self._senses)

    def reset(self, goals: Any = None, which: Any = None, seed: int | None = None) -> None:
        """Start an episode in all environments, or in some.

        Args:
          goals: one for each of the N environments: a sequence of goals as `Controller.reset` takes them, an array
            [N, O], or a mapping from sensors to arrays [N, ...]. None: the last ones stay.
          which: [N] where an episode begins, for example `terminated | truncated`; None: everywhere.
          seed: numbers the episodes from here on; None: the numbering continues.

        Raises:
          ValueError: the goals are not N, or one of those that count is refused, or missing the first time; or there
            are environments that no episode has begun in. Nothing changes then.
        """
        with self._alone("reset"):
            places = self._places(which)
            if seed is None and not places.any():
                return
            if self._states is None and not places.all():
                raise ValueError("the first reset begins an episode in every environment: call it without `which`")
            given = [None] * self.num_envs if goals is None else self._each(goals, "goals")
            rows = list(self._goals)
            for place in np.flatnonzero(places).tolist():
                rows[place] = self._of(place, self._senses[place].episode_goal, given[place], self._goals[place])
            if seed is not None:
                self._key, self._begun = jax.random.key(seed), 0
            numbers = self._begun + np.cumsum(places) - 1
            self._begun += int(places.sum())
            self._goals = rows
            goals, mask = self._asked()
            states = _reset(self._agent, goals, self._key, numbers.astype(np.int32), mask)
            self._states = states if self._states is None else _chosen(places, states, self._states)
            self._sent[places] = self._contract.rest_action
            for place in np.flatnonzero(places).tolist():
                self._senses[place].begin()
                self._watches[place].forget()

    def redirect(self, goals: Any, which: Any = None) -> None:
        """Set other goals in the same episodes: recent observations and actions are kept, and the next `act` replans.

        Args:
          goals: one for each of the N environments, as `reset` takes them.
          which: [N] where the goal changes; None: everywhere.

        Raises:
          ValueError: as `reset`. Nothing changes then.
          RuntimeError: there was no `reset` yet.
        """
        with self._alone("redirect"):
            states, places, given = self._current("redirect"), self._places(which), self._each(goals, "goals")
            rows = list(self._goals)
            for place in np.flatnonzero(places).tolist():
                rows[place] = self._of(place, self._senses[place].goal, given[place])
            self._goals = rows
            goals, mask = self._asked()
            self._states = _redirect(self._agent, states, goals, places, mask)
            for place in np.flatnonzero(places).tolist():
                self._watches[place].forget()

    def act(self, observations: Any, active: Any = None) -> Float[ndarray, "N A"]:
        """Return the next actions, float32 and within the bounds.

        Args:
          observations: what the sensors read in each environment: an array [N, O] of the only one, a mapping from
            sensors to arrays [N, ...], or a sequence of N observations as `Controller.act` takes them.
          active: [N] environments that act; in the others nothing is checked or planned, and the rest action is
            returned. None: all of them.

        Raises:
          ValueError: there are not N observations, or one of them is refused; the message has its place. Nothing
            changes then.
          RuntimeError: there was no `reset` yet, or another thread is in a call.
        """
        with self._alone("act"):
            states, places, given = self._current("act"), self._places(active), self._each(observations, "observations")
            active_places = np.flatnonzero(places).tolist()
            sensed = [self._of(place, self._senses[place].sensed, given[place]) for place in active_places]
            rows = np.zeros((self.num_envs, self._contract.embedding_size), np.float32)
            for place, each in zip(active_places, sensed, strict=True):
                rows[place] = self._senses[place].moment(each, self._sent[place])
            actions, plans, states = _step(self._agent, states, rows, places)
            statuses, sent = np.asarray(plans.status), np.tile(self._contract.rest_action, (self.num_envs, 1))
            failed = np.zeros(self.num_envs, bool)
            for place in active_places:
                watch, senses = self._watches[place], self._senses[place]
                sent[place] = watch.judge(np.asarray(actions[place]), Status(int(statuses[place])), senses.untrusted)
                failed[place] = watch.source == Source.BRAKE
            self._states = states
            if failed.any():  # a failed search is not continued
                goals, mask = self._asked()
                fresh = _redirect(self._agent, states, goals, failed, mask)
                self._states = replace(fresh, previous=jnp.where(failed[:, None], sent, fresh.previous))
            self._sent = sent
            return sent.copy()

    @property
    def sources(self) -> list[Source]:
        """Origin of the last action in each environment."""
        return [watch.source for watch in self._watches]

    @property
    def reasons(self) -> list[Reason]:
        """Reason for the source in each environment; `OK` without a fault."""
        return [watch.reason for watch in self._watches]

    def _asked(self) -> tuple[Float[ndarray, "N E"], Bool[ndarray, "N E"]]:
        """Return the goals as rows, and which of their parts are requested."""
        rows = np.stack([row for row in self._goals if row is not None])
        return np.nan_to_num(rows), ~np.isnan(rows)

    def _places(self, which: Any) -> Bool[ndarray, "N"]:
        """Return where something happens. Raises ValueError unless there is one truth value for each environment."""
        if which is None:
            return np.ones(self.num_envs, bool)
        places = np.asarray(which)
        if places.dtype != bool or places.shape != (self.num_envs,):
            raise ValueError(f"expected {self.num_envs} truth values, one for each environment; got {which!r:.80}")
        return places

    def _each(self, values: Any, what: str) -> Sequence[Any] | ndarray:
        """Return one entry for each environment. Raises ValueError where there are not N of them."""
        if isinstance(values, Mapping):
            counts = {name: len(np.asarray(each)) if np.ndim(each) else 0 for name, each in values.items()}
            wrong = {name: count for name, count in counts.items() if count != self.num_envs}
            if wrong:
                raise ValueError(f"expected {what} of {self.num_envs} environments; got {wrong}, by sensor")
            return [{name: each[place] for name, each in values.items()} for place in range(self.num_envs)]
        if not isinstance(values, Sequence | ndarray) or np.ndim(values) == 0 or len(values) != self.num_envs:
            got = f"{len(values)}" if hasattr(values, "__len__") else f"{values!r:.40}"
            raise ValueError(f"expected {what} of {self.num_envs} environments, one entry for each; got {got}")
        return values

    def _of(self, place: int, function: Any, *given: Any) -> Any:
        """Call a function of one environment. Its ValueError names the environment."""
        try:
            return function(*given)
        except ValueError as error:
            raise ValueError(f"environment {place}: {error}") from error

    def _current(self, call: str) -> AgentState:
        if self._states is None:
            raise RuntimeError(f"{call} needs episodes: call reset(goals=...) first")
        return self._states
