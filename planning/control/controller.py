"""A policy interface over an agent or a bundle: NumPy in, NumPy out, one action per call.

All compiling happens in `warmup`. Every input is checked first and then has one shape and one type, so that no
observation, goal, weight or parameter can trigger a compile in the middle of a control loop, or corrupt the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..agent import Agent
from ..arrays import Float
from ..precision import fastest_precision
from ..types import Plan
from .bundle.bundle import Bundle
from .bundle.engine import BundleEngine
from .engine.anytime import Anytime
from .engine.filling import LEAST_TRUST
from .engine.interface import Engine, take_in
from .engine.live import LiveEngine
from .engine.readings import checked_action, one_of_batch
from .exclusive import Exclusive
from .loop.status import Reason, Source
from .plan_watch import PlanWatch
from .senses import Sensed, Senses


@final
class Controller:
    """One agent in one environment, for a caller that waits for the plan.

    Episodes are numbered from the last `reset` with a seed: equal seeds and observations give equal actions, unless
    there is a deadline, since the number of iterations then depends on the machine.

    While planning fails (no candidate has a finite cost), the rest of the last good plan is executed; after that, or
    where it is not finite, the rest action of the contract. `source` and `reason` give the origin of the last action.

    One thread at a time may call it (RuntimeError otherwise); where none may wait, use `RealtimeController`.

    Args:
      agent: or any engine, such as a bundle's. An agent with `precision="auto"` plans in the precision that `warmup`
        finds faster on this machine, and in float32 before.
      seed: of the first episodes.
      deadline_ms: `act` stops improving a plan in time to return by then; without one, all iterations are made.
      observation_low: [O] or one number, the lowest plausible reading and goal; None: the contract's, if it has one.
      observation_high: [O] or one number, the highest.
      words: additions to an agent's contract, as `LiveEngine` takes them: names, units, ranges, mean pictures.
      least_trust: 0 to 1, the trust in an imagined reading of a missing sensor below which the rest action is sent.

    Raises:
      ValueError: the parts of the agent, or range and sensors, do not fit, or a deadline or trust out of range.
    """

    def __init__(
        self,
        agent: Agent | Engine,
        seed: int = 0,
        deadline_ms: int | float | None = None,
        observation_low: Any = None,
        observation_high: Any = None,
        words: Mapping[str, Any] | None = None,
        least_trust: float = LEAST_TRUST,
    ):
        self._anytime = None if deadline_ms is None else Anytime(deadline_ms / 1e3)
        self._precision: str | None = None  # the precision that "auto" resolved to
        self._seed, self._episode = seed, -1
        self._words = dict(words or {})
        self._senses = Senses(observation_low, observation_high, least_trust)
        self._goal: ndarray | None = None
        self._state: Any = None
        self._sent: ndarray | None = None  # [A] the last action
        self._acted = False
        self._undecided = False
        self._watch = PlanWatch()
        self._alone = Exclusive("controller", "RealtimeController")
        if isinstance(agent, Agent):
            self.agent = agent
        else:
            self._take(agent)

    @classmethod
    def load(
        cls,
        path: str | Path,
        deadline_ms: int | float | None = None,
        cache: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> Controller:
        """Build a controller on a bundle that `jepa-mpc export` wrote; call its `warmup` and `reset` next.

        Args:
          path: of the bundle.
          deadline_ms: as above.
          cache: keep what `warmup` compiles in a folder next to the bundle, `PATH.cache`, so that the next start takes
            seconds. That folder is read as machine code: use it only where no other user can write.
          seed: as above.
          options: `observation_low`, `observation_high`, `least_trust`, as above.

        Raises:
          FileNotFoundError: no bundle there.
          BundleError: the file cannot be used (a ValueError with the reason in one sentence).
        """
        path = Path(path)
        folder = path.with_name(f"{path.name}.cache") if cache else None
        return cls(BundleEngine(Bundle.load(path), folder), seed, deadline_ms, **options)

    @property
    def engine(self) -> Engine:
        """The engine that it drives."""
        return self._engine

    @property
    def agent(self) -> Agent:
        """The agent. It may be replaced by one with new numbers in the same structure at any time, without a compile.

        Raises ValueError where there is none, because the controller drives a bundle.
        """
        if not isinstance(self._engine, LiveEngine):
            raise ValueError("this controller drives compiled programs and holds no agent: use its engine")
        return replace(self._engine.agent, precision="auto") if self._undecided else self._engine.agent

    @agent.setter
    def agent(self, agent: Agent) -> None:
        self._undecided = agent.precision == "auto" and self._precision is None
        if agent.precision == "auto":
            agent.validate()
            agent = replace(agent, precision=self._precision or "float32")
        self._take(LiveEngine(agent, **self._words))

    def _take(self, engine: Engine) -> None:
        with self._alone("agent"):
            self._engine, self._contract = engine, engine.contract
            self._rest = self._contract.rest_action
            self._watch.follow(self._contract)
            self._senses.follow(engine)

    def warmup(self) -> None:
        """Compile everything and take the measurements that are needed. The state does not change."""
        with self._alone("warmup"):
            zeros = np.zeros(self._contract.embedding_size, np.float32)
            if self._undecided:
                start = self._begin(zeros, 0, 0, self._rest)

                def one_step(agent: Agent) -> None:
                    LiveEngine(agent).step(start, zeros)

                chosen = fastest_precision(self.agent, one_step)
                self._precision = chosen.precision
                self.agent = chosen
            self._engine.warmup()
            if self._anytime is not None:
                self._anytime.warmup(self._engine, self._begin(zeros, 0, 0, self._rest), zeros)

    def reset(self, goal: Any = None, seed: int | None = None, previous: Any = None) -> None:
        """Start an episode towards a goal.

        Args:
          goal: what the sensors read there: [O] of the only sensor, a mapping from sensors, or a `Goal` with a mask;
            without one, the last goal stays. NaN, or a sensor left out, stands for any value, where the model knows
            such goals. Planning for rewards needs no goal.
          seed: numbers the episodes from here on; None: the numbering continues.
          previous: [A] what the actuators do now: the start for costs and limits of change. None: the last action,
            which a robot still executes; with a seed, and before the first action, the rest action.

        Raises:
          ValueError: the goal has the wrong shape, is not finite or implausible, or there has never been one; or
            `previous` is not one finite number for each actuator. Nothing changes then.
        """
        with self._alone("reset"):
            goal = self._senses.episode_goal(goal, self._goal)
            sent = self._rest if seed is not None or self._sent is None else self._sent
            start = sent if previous is None else checked_action(previous, self._contract)
            if seed is not None:
                self._seed, self._episode = seed, -1
            self._goal, self._episode = goal, self._episode + 1
            self._state = self._begin(goal, self._seed, self._episode, start)
            self._acted, self._sent = False, start
            self._watch.forget()
            self._senses.begin()

    def redirect(self, goal: Any) -> None:
        """Set another goal in the same episode: recent observations and actions are kept, and the next `act` replans.

        Raises:
          ValueError: as `reset`. Nothing changes then.
          RuntimeError: there was no `reset` yet.
        """
        with self._alone("redirect"):
            self._current("redirect")
            self._goal = self._senses.goal(goal)
            self._episode += 1
            self._watch.forget()
            self._state = self._fresh_state()

    def act(self, observation: Any) -> Float[ndarray, "A"]:
        """Return the next action, float32 and within the bounds; `source` and `reason` give its origin.

        `observation` is what the sensors read: [O] of the only one, or a mapping from all of them. Where the model
        fills in sensors, one may be left out, be None, read NaN, or be a black picture: `filled` names it then.

        Raises:
          ValueError: the observation has the wrong shape, is not finite or implausible. The state stays as it was.
          RuntimeError: there was no `reset` yet, or another thread is in a call.
        """
        with self._alone("act"):
            return self._next_action(self._current("act"), self._senses.sensed(observation))

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[ndarray, Any]:
        """Return `act` in the signature of Stable-Baselines3's policies: `[O]` gives `[A]`, `[1, O]` gives `[1, A]`.

        Errors are those of `act`, and change nothing.

        Args:
          observation: as `act` takes it, or a batch of one.
          state: returned unchanged, as the controller has its own memory.
          episode_start: true to reset towards the same goal, from the rest action.
          deterministic: without effect, as a plan depends on the seed alone.
        """
        with self._alone("predict"):
            self._current("predict")
            single, batch = one_of_batch(observation, self._contract.observation)
            begins = bool(episode_start is not None and np.any(episode_start) and self._acted)
            sensed = self._senses.sensed(single, begins)
            if begins:
                self.reset(previous=self._rest)
            action = self._next_action(self._current("predict"), sensed)
            return (action[None] if batch else action), state

    def _next_action(self, state: Any, sensed: Sensed) -> Float[ndarray, "A"]:
        assert self._sent is not None
        moment = self._senses.moment(sensed, self._sent)
        step = self._engine.step if self._anytime is None else partial(self._anytime.step, self._engine)
        action, state = step(state, moment)
        self._senses.recent.append(moment)
        self._sent = self._watch.judge(action, self._engine.status(state), self._senses.untrusted)
        if self._watch.source == Source.BRAKE:  # a failed search is not continued
            state = self._fresh_state()
        self._state, self._acted = state, True
        return self._sent.copy()

    @property
    def source(self) -> Source:
        """Origin of the last action: the newest plan, the rest of the one before, or the rest action."""
        return self._watch.source

    @property
    def reason(self) -> Reason:
        """Reason for the source; `OK` without a fault."""
        return self._watch.reason

    @property
    def filled(self) -> Mapping[str, float]:
        """Sensors that are missing and imagined since the last `act`, and the trust in each, from 0 to 1."""
        return self._senses.filled

    def expected(self, sensor: str) -> tuple[ndarray, ndarray]:
        """Return what a sensor would read now if it were missing, and its standard deviation, as `Filler.expected`."""
        return self._senses.expected(sensor)

    @property
    def anytime(self) -> Anytime | None:
        """Timing of the last `act` with a deadline: iterations, duration, and whether it was late."""
        return self._anytime

    @property
    def plan(self) -> Plan:
        """The plan in execution. Raises RuntimeError before the first `reset`."""
        return self._engine.plan(self._current("plan"))

    def imagined(self) -> ndarray:
        """Predicted outcome of the rest of the plan: positions [H, Q] if the model has a probe, else latents [H, D]."""
        return self._engine.imagined(self._current("imagined"))

    def _begin(self, goal: ndarray, seed: int, episode: int, previous: ndarray) -> Any:
        """The engine's state at an episode's start, after the action `previous` [A]."""
        return self._engine.with_previous(self._engine.begin(goal, seed, episode), previous)

    def _fresh_state(self) -> Any:
        """Return a new state in the same episode: no plan, but the recent observations and the last action."""
        assert self._goal is not None and self._sent is not None
        state = self._engine.begin(self._goal, self._seed, self._episode)
        if self._senses.recent:
            state = take_in(self._engine, state, np.stack(self._senses.recent))
        return self._engine.with_previous(state, self._sent)

    def _current(self, call: str) -> Any:
        if self._state is None:
            raise RuntimeError(f"{call} needs an episode: call reset(goal=...) first")
        return self._state
