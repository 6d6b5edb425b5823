"""Planning against a deadline: iterations, one compiled call each, until the next one would be late.

A compiled call cannot be stopped, so it must not be started too late: its time is predicted by a quantile over a window
of measured ones, as acados does (`timeout_heuristic`). Whenever iterations stop, the plan is the best of what was
evaluated.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import jax
import numpy as np
from numpy import ndarray

from ...agent import Agent

if TYPE_CHECKING:
    from .interface import Engine

logger = logging.getLogger(__name__)


class Timings:
    """The last durations of an operation, in seconds, and the expected next one."""

    def __init__(self, quantile: float, window: int):
        self._quantile = quantile
        self._durations: deque[float] = deque(maxlen=window)

    def add(self, seconds: float) -> None:
        """Add a duration; the oldest is forgotten where the window is full."""
        self._durations.append(seconds)

    def forget_oldest(self) -> None:
        """Drop the oldest duration."""
        if self._durations:
            self._durations.popleft()

    def expected(self) -> float:
        """Return the quantile, rounded up to a measured duration; 0 without any."""
        if not self._durations:
            return 0.0
        return float(np.quantile(self._durations, self._quantile, method="higher"))


@final
class Anytime:
    """One environment step of an agent, or of any engine, within a deadline.

    `iterations`, `elapsed` and `late` describe the last step. The first step of an episode makes one iteration in any
    case; later ones continue the previous plan where there is no time for any.

    Args:
      deadline: seconds from the observation to the action.
      max_iterations: of one step; by default the planner's own.
      quantile: of the measured times of an iteration, which the next one is expected to take.
      window: how many durations are kept, so that one slow moment is forgotten again.
      clock: seconds, as `time.perf_counter` gives them.

    Raises:
      ValueError: a deadline that is not positive, fewer than 1 iteration or measured time, or an invalid quantile.
    """

    def __init__(
        self,
        deadline: float,
        max_iterations: int | None = None,
        quantile: float = 0.95,
        window: int = 64,
        clock: Callable[[], float] = time.perf_counter,
    ):
        if not deadline > 0:
            raise ValueError(f"the deadline must be a positive time; got {deadline:g} s")
        if max_iterations is not None and max_iterations < 1:
            raise ValueError(f"max_iterations must be at least 1; got {max_iterations}")
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile must lie between 0 and 1; got {quantile:g}")
        if window < 1:
            raise ValueError(f"window must be at least 1; got {window}")
        self.deadline = deadline
        self.iterations, self.elapsed = 0, 0.0
        self._max_iterations = max_iterations
        self._clock = clock
        self._live: Any = None  # the last agent's engine
        self._refining, self._committing = Timings(quantile, window), Timings(quantile, window)

    @property
    def late(self) -> bool:
        """Whether the last step missed its deadline."""
        return self.elapsed > self.deadline

    def warmup(self, agent: Agent | Engine, state: Any, observation: Any, repeats: int = 5) -> None:
        """Compile, and measure an iteration. `state` does not change.

        Args:
          agent: or an engine.
          state: of an episode.
          observation: embedding [E] of a moment.
          repeats: iterations measured, after a first one that compiles.
        """
        engine = self._engine(agent)
        observed = engine.observe(state, observation)
        for repeat in range(repeats + 1):
            refined, refining = self._timed(engine.refine, observed)
            _, committing = self._timed(engine.commit, refined)
            if repeat > 0:  # the first one compiles
                self._refining.add(refining)
                self._committing.add(committing)
        expected = self._refining.expected() + self._committing.expected()
        if expected > self.deadline:
            logger.warning(
                "one iteration takes %.1f ms, and the deadline is %.1f ms: take fewer samples, a shorter horizon or a "
                "later deadline",
                1e3 * expected,
                1e3 * self.deadline,
            )

    def step(self, agent: Agent | Engine, state: Any, observation: Any) -> tuple[ndarray, Any]:
        """Observe, refine while there is time, and take the next action [A]."""
        began = self._clock()
        engine = self._engine(agent)
        first, due = engine.observed(state) == 0, engine.executed(state) >= engine.contract.replan_every
        state = engine.observe(state, observation)
        limit = (self._max_iterations or engine.contract.iterations) if due else 0
        self.iterations = 0
        while self.iterations < limit:
            expected = self._refining.expected() + self._committing.expected()
            in_time = self._clock() - began + expected <= self.deadline
            if not in_time and not (first and self.iterations == 0):
                break
            state, seconds = self._timed(engine.refine, state)
            self._refining.add(seconds)
            self.iterations += 1
        if due and self.iterations == 0:
            self._refining.forget_oldest()  # otherwise one slow moment, never measured again, would end all planning
        (action, state), seconds = self._timed(engine.commit, state)
        self._committing.add(seconds)
        self.elapsed = self._clock() - began
        return action, state

    def _engine(self, agent: Agent | Engine) -> Engine:
        if not isinstance(agent, Agent):
            return agent
        if self._live is None or self._live[0] is not agent:
            from .live import LiveEngine  # it imports this package

            self._live = agent, LiveEngine(agent)
        return self._live[1]

    def _timed(self, function: Callable[[Any], Any], state: Any) -> tuple[Any, float]:
        began = self._clock()
        result = jax.block_until_ready(function(state))
        return result, self._clock() - began
