"""The soak test's loop on a virtual clock: real guards, fallback chain and tiny planner under random faults."""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy import ndarray

from planning.control import Fallback, Loop, Planning, RealtimeController, Reason

from ..tiny_engine import PERIOD, Breakable, make
from .faults import REPLAN, STUCK, Fault, broken, draw
from .judge import Judge, Promises

# Each declaration gets the same share of the steps; a tuple with an infinite limit is one way to declare no limit.
DECLARED: dict[str, tuple[dict[str, Any], Promises]] = {
    "rate": ({"rate_limit": 20.0}, Promises(rate=20.0)),
    "infinite": ({"rate_limit": (math.inf,)}, Promises()),
    "acceleration": (
        {"rate_limit": 20.0, "acceleration_limit": 1000.0},
        Promises(rate=20.0, acceleration=1000.0),
    ),
    "latching": ({"rate_limit": 20.0}, Promises(rate=20.0, latch=True)),
}


def reflex(observation: ndarray) -> ndarray:
    """Spring and damper that fails in two ways in some states, as a policy may."""
    if observation[0] > 0.9:
        raise RuntimeError("this reflex does not know what to do")
    return np.asarray([np.nan if observation[0] < -0.9 else -observation[0] - observation[1]])


@final
class VirtualLoop:
    """A controller, a point mass and their faults.

    Args:
      seed: seed of the body and the faults.
      declared: key of `DECLARED`.
      share: share of the steps without a fault in which one begins.
    """

    def __init__(self, seed: int, declared: str = "rate", share: float = 0.02):
        self._rng, self._share = np.random.default_rng(seed), share
        self._state, self._fault, self._calm = np.zeros(2), Fault(), 0
        self._stuck = self._state
        self._now, self._latency, self._previous_now = 0.0, 0.5 * PERIOD, 0.0
        limits, promises = DECLARED[declared]
        self._engine = Breakable(replace(make().agent, replan_every=REPLAN))
        self.controller = RealtimeController(
            self._engine,
            Loop(
                **limits,
                max_observation_age=0.5 * PERIOD,
                observation_low=(-10.0, -10.0),
                observation_high=(10.0, 10.0),
                stuck_after=STUCK,
                latency=lambda: self._latency,
            ),
            Planning(validity=2 * REPLAN * PERIOD, most_disagreement=1.0),
            Fallback(
                reflex=reflex,
                hold_seconds=promises.hold_seconds,
                reflex_seconds=promises.reflex_seconds,
                latch=promises.latch,
            ),
            worker="inline",
            seed=seed,
            clock=self._clock,
        )
        self._judge, self.counts = Judge(promises), Counter[str]()
        self._latching, self._braked = promises.latch, 0
        self._dead: Any = self.controller.worker.dead
        self.controller.start()
        self._judge.started()
        self._reset()

    @property
    def totals(self) -> Counter[str]:
        """All counts so far, including the judge's."""
        return self.counts + self._judge.counts

    def step(self, number: int) -> None:
        """Advance by one control period."""
        self._now += PERIOD
        self._draw()
        kind, controller = self._fault.active, self.controller
        self._engine.fault, self._latency = kind, PERIOD * (5.0 if kind == "latency" else 0.5)
        worker: Any = controller.worker
        worker.dead = (lambda: True) if kind == "dead" else self._dead
        if number % 5000 == 0 or (self._fault.resets and self._fault.steps % 4 == 0):
            self._reset()
        if self._rng.uniform() < 0.001:
            controller.redirect([self._rng.uniform(-0.5, 0.5), 0.0])
        try:
            self._sense(kind)
            action = self._act()
            if kind == "again":
                action = self._act()
        except Exception:
            logging.getLogger(__name__).exception("a control step raised")
            self.counts["unsafe_crashes"] += 1
            return
        self._state = self._state + PERIOD * np.asarray([self._state[1], float(action[0]) - self._state[1]])
        self._state += self._rng.normal(scale=1e-4, size=2)

    def _act(self) -> ndarray:
        """Get one action and judge it."""
        action = self.controller.get_action()
        command, missing = self.controller.command, self._fault.active == "no_clock"
        assert command is not None
        elapsed = -1.0 if missing else self._now - self._previous_now
        self._previous_now = self._previous_now if missing else self._now
        self._judge.judge(command, action, elapsed, command.time, self._fault, self._calm)
        self._braked = self._braked + 1 if self.controller.latched else 0
        if self._braked > 40 and self._calm > 20:
            self.controller.acknowledge()
            self._judge.acknowledged()
            self._calm = 0
        return action

    def _draw(self) -> None:
        """Advance the current fault; once it is over, perhaps draw another."""
        fault, rng = self._fault, self._rng
        fault.steps += 1
        if fault.left > 0:
            fault.left -= 1
        else:
            if fault.kind == "stopped":
                self.controller.start()
                self._judge.started()
            self._fault = fault = Fault()
            if rng.uniform() >= self._share:
                self._calm += 1
                return
            self._calm, self._fault = 0, (fault := draw(rng))
            self.counts[f"fault_{fault.kind}"] += 1
            if fault.kind == "stopped":
                self.controller.stop()
        if fault.active in ("back", "forward", "pause"):
            self._now += float(rng.uniform(0.5, 10.0)) * (-1 if fault.kind == "back" else 1)
        elif fault.active == "step_back":
            self._now -= PERIOD + 0.005

    def _reset(self) -> None:
        """Reset to a new goal as an operator does, in motion and during any fault."""
        self._calm = 0
        self.controller.reset(goal=[self._rng.uniform(-0.5, 0.5), 0.0])
        self._judge.began()

    def _sense(self, kind: str) -> None:
        """Send the observation of the state, broken by the current fault."""
        observation = broken(kind, self._state, self._stuck, self._rng)
        if kind == "dropped":
            return
        self._stuck = observation if not kind else self._stuck
        stamp = self._now - 3 * PERIOD if kind == "delayed" else self._now
        if self.controller.notify_observation(observation, stamp if kind == "delayed" else None) == Reason.OK:
            self._judge.accepted(stamp)

    def _clock(self) -> float:
        return math.nan if self._fault.active == "no_clock" else self._now


def broken_promises(steps: int, seed: int) -> dict[str, int]:
    """Counts of broken promises in `steps` steps of each declaration; empty if all are kept."""
    logging.getLogger("planning").setLevel(logging.CRITICAL)
    counts = Counter[str]()
    for number, declared in enumerate(DECLARED):
        loop = VirtualLoop(seed + number, declared, share=0.05)
        for step in range(1, steps + 1):
            loop.step(step)
        counts += loop.totals
    return {name: count for name, count in counts.items() if name.startswith(("unsafe", "unanswered", "needless"))}
