"""An agent, or a bundle, behind the face of a policy: NumPy in, NumPy out, one action a call.

All compiling happens in `warmup`. Whatever comes in is checked first and has one shape and one type afterwards, so that
no observation, goal, weight or parameter can cause a compile in the middle of a control loop, or harm the state.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..agent import Agent
from ..anytime import Anytime
from ..arrays import Float
from ..precision import fastest_precision
from ..types import Plan
from .bundle import Bundle
from .bundle_engine import BundleEngine
from .engine import Engine
from .goal import checked_goal, episode_goal
from .live_engine import LiveEngine

logger = logging.getLogger(__name__)


@final
class Controller:
    """One agent in one environment.

    Episodes are numbered from the last `reset` with a seed: equal seeds and observations give equal actions, unless
    there is a deadline, since how many iterations fit is the machine's affair.

    Args:
      agent: or any engine, such as a bundle's. An agent with `precision="auto"` plans in the precision that `warmup`
        finds faster on this machine, and in float32 before.
      seed: of the first episodes.
      deadline_ms: `act` stops to improve a plan in time to return by then; without one, all iterations are made.

    Raises:
      ValueError: the parts of the agent do not fit each other, or the deadline is not positive.
    """

    def __init__(self, agent: Agent | Engine, seed: int = 0, deadline_ms: float | None = None):
        self._anytime = None if deadline_ms is None else Anytime(deadline_ms / 1e3)
        self._precision: str | None = None  # what auto became
        self._seed, self._episode = seed, -1
        self._goal: ndarray | None = None
        self._state: Any = None
        self._recent: deque[ndarray] = deque(maxlen=0)  # the last of this episode, without the present one
        self._acted = False
        self._undecided = False
        if isinstance(agent, Agent):
            self.agent = agent
        else:
            self._take(agent)

    @classmethod
    def load(cls, path: str | Path, deadline_ms: float | None = None, cache: bool = False, seed: int = 0) -> Controller:
        """A controller on a bundle, which `jepa-mpc export` wrote; call its `warmup` and `reset` next.

        Args:
          path: of the bundle.
          deadline_ms: as above.
          cache: keep what `warmup` compiles in a folder beside the bundle, `PATH.cache`, so that the next start takes
            seconds. That folder is read as machine code: ask for it only where nobody else can write.
          seed: as above.

        Raises:
          FileNotFoundError: no bundle there.
          BundleError: the file cannot be used; it is a ValueError, and says why in one sentence.
        """
        path = Path(path)
        folder = path.with_name(f"{path.name}.cache") if cache else None
        return cls(BundleEngine(Bundle.load(path), folder), seed, deadline_ms)

    @property
    def engine(self) -> Engine:
        """What it drives."""
        return self._engine

    @property
    def agent(self) -> Agent:
        """The agent. Another one with new numbers in the same structure may take its place at any time: no compile.

        Raises:
          ValueError: there is none, for the controller drives a bundle.
        """
        if not isinstance(self._engine, LiveEngine):
            raise ValueError("this controller drives compiled programs and holds no agent: see its engine")
        return replace(self._engine.agent, precision="auto") if self._undecided else self._engine.agent

    @agent.setter
    def agent(self, agent: Agent) -> None:
        self._undecided = agent.precision == "auto" and self._precision is None
        if agent.precision == "auto":
            agent.validate()
            agent = replace(agent, precision=self._precision or "float32")
        self._take(LiveEngine(agent))

    def _take(self, engine: Engine) -> None:
        self._engine = engine
        self._low, self._high = engine.contract.low, engine.contract.high

    def warmup(self) -> None:
        """Compile everything, and measure what has to be known. The state stays as it is."""
        zeros = np.zeros(self._engine.contract.observation_size, np.float32)
        if self._undecided:
            start = self._engine.begin(zeros, seed=0, episode=0)

            def one_step(agent: Agent) -> None:
                LiveEngine(agent).step(start, zeros)

            chosen = fastest_precision(self.agent, one_step)
            self._precision = chosen.precision
            self.agent = chosen
        self._engine.warmup()
        if self._anytime is not None:
            self._anytime.warmup(self._engine, self._engine.begin(zeros, seed=0, episode=0), zeros)

    def reset(self, goal: Any = None, seed: int | None = None) -> None:
        """Start an episode. `goal` [O] is what the sensors read at the goal; without one, the last goal stays.

        NaN in a goal stands for any value, where the model knows such goals. Planning for rewards needs no goal.

        Raises:
          ValueError: the goal has the wrong shape or is not finite, or there has never been one. Nothing changes then.
        """
        goal = episode_goal(goal, self._goal, self._engine.contract)
        if seed is not None:
            self._seed, self._episode = seed, -1
        self._goal, self._episode = goal, self._episode + 1
        self._state = self._engine.begin(goal, self._seed, self._episode)
        self._acted = False
        self._recent = deque(maxlen=self._engine.contract.history - 1)

    def redirect(self, goal: Any) -> None:
        """Another goal in the same episode: what was seen last is remembered, and the next `act` plans towards it.

        Raises:
          ValueError: as `reset`. Nothing changes then.
          RuntimeError: there was no `reset` yet.
        """
        self._current("redirect")
        self._goal, self._episode = checked_goal(goal, self._engine.contract), self._episode + 1
        state = self._engine.begin(self._goal, self._seed, self._episode)
        for observation in self._recent:
            state = self._engine.observe(state, observation)
        self._state = state

    def act(self, observation: Any) -> Float[ndarray, "A"]:
        """The next action, float32 and within the bounds.

        Raises:
          ValueError: the observation has the wrong shape or is not finite. The state stays as it was.
          RuntimeError: there was no `reset` yet.
        """
        state, observation = self._current("act"), self._checked(observation, "observation")
        if self._anytime is None:
            action, state = self._engine.step(state, observation)
        else:
            action, state = self._anytime.step(self._engine, state, observation)
        self._state, self._acted = state, True
        self._recent.append(observation)
        return self._within(action)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[ndarray, Any]:
        """`act` as Stable-Baselines3's policies have it: `[O]` gives `[A]`, and a batch of one, `[1, O]`, `[1, A]`.

        A true `episode_start` resets towards the same goal. `state` is handed back as it came, for the memory is the
        controller's own; `deterministic` has no meaning, for a plan depends on the seed alone.

        Raises:
          ValueError: the observation is neither `[O]` nor `[1, O]`, or is not finite.
          RuntimeError: there was no `reset` yet.
        """
        self._current("predict")
        batch = np.ndim(observation) == 2
        if batch and len(observation) != 1:
            raise ValueError(f"a controller drives one environment; got a batch of {len(observation)} observations")
        single = self._checked(observation[0] if batch else observation, "observation")
        if episode_start is not None and np.any(episode_start) and self._acted:
            self.reset()
        action = self.act(single)
        return (action[None] if batch else action), state

    @property
    def anytime(self) -> Anytime | None:
        """With a deadline: how many iterations the last `act` made, how long it took, and whether it was late."""
        return self._anytime

    @property
    def plan(self) -> Plan:
        """The plan that is being executed. RuntimeError where there was no `reset` yet."""
        return self._engine.plan(self._current("plan"))

    def imagined(self) -> ndarray:
        """Where the rest of the plan should lead: positions [H, Q] if the model has a probe, else latents [H, D].

        Raises:
          RuntimeError: there was no `reset` yet.
        """
        return self._engine.imagined(self._current("imagined"))

    def _within(self, action: ndarray) -> ndarray:
        """Clipped to the bounds; what is no number is their middle, for an actuator has to be told something."""
        finite = np.isfinite(action)
        if not finite.all():
            logger.warning("the plan's action %s is not finite: the middle of the bounds is taken", action)
        return np.clip(np.where(finite, action, (self._low + self._high) / 2), self._low, self._high)

    def _current(self, call: str) -> Any:
        if self._state is None:
            raise RuntimeError(f"{call} needs an episode: call reset(goal=...) first")
        return self._state

    def _checked(self, value: Any, name: str) -> ndarray:
        size = self._engine.contract.observation_size
        try:
            with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused below
                value = np.array(value, np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"the {name} must be {size} numbers; got {type(value).__name__}") from None
        if value.shape != (size,):
            raise ValueError(f"the {name} must have shape ({size},); got {value.shape}")
        if not np.isfinite(value).all():
            which = int(np.argmin(np.isfinite(value)))
            raise ValueError(f"the {name} must be finite; element {which} is {value[which]}")
        return value
