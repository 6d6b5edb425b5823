"""Random faults of sensors, clock, model, planner and operator for the soak test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

REPLAN = 16  # steps between two plans
STUCK = 6  # equal observations that count as a stuck sensor
MOMENTARY = ("back", "forward", "pause")  # last one step; all others last longer
KINDS = (
    "nan",
    "out_of_range",
    "malformed",
    "stuck",
    "dropped",
    "delayed",
    "model_nan",  # the model gives NaN
    "wild",  # the planner's actions are far out of the bounds
    "surprise",
    "latency",  # plans arrive late, after a reset even for the previous episode
    "dead",  # the planner process has died
    "stopped",  # the controller is stopped and started again
    "no_clock",  # the clock gives NaN
    "step_back",  # the clock goes back by 5 ms at every fourth call
    "again",  # two actions at the same instant
    *MOMENTARY,
)
MALFORMED: tuple[Any, ...] = (
    None,
    "left",
    np.zeros(3),
    {"position": 1.0},
    np.zeros((2, 2)),
    ["0.1", "0.2"],
    np.array([0.1 + 1j, 0.0]),
    np.ma.masked_array([0.1, 0.2], mask=[True, False]),
)


@dataclass
class Fault:
    """The fault in the current step, and its duration so far."""

    kind: str = ""
    left: int = 0
    steps: int = 0
    resets: bool = False  # whether an operator resets the episode at every fourth step of the fault

    @property
    def active(self) -> str:
        """The kind if it is effective in this step, else an empty string."""
        return "" if self.kind == "step_back" and self.steps % 4 else self.kind


def draw(rng: np.random.Generator) -> Fault:
    """Draw a fault of 1 to 24 steps, longer where its kind needs time to be noticed."""
    kind = KINDS[rng.integers(len(KINDS))]
    if kind in MOMENTARY:
        return Fault(kind)
    least = {"stuck": STUCK, "surprise": REPLAN, "model_nan": REPLAN, "dead": 2 * REPLAN}.get(kind, 0)
    return Fault(kind, least + int(rng.integers(1, 25)), resets=bool(rng.uniform() < 0.25))


def broken(kind: str, state: ndarray, stuck: ndarray, rng: np.random.Generator) -> Any:
    """The observation of the state [2] under a fault."""
    observation: Any = state.copy()
    if kind == "nan":
        observation[rng.integers(2)] = rng.choice([np.nan, np.inf, -np.inf])
    elif kind == "out_of_range":
        observation[rng.integers(2)] = rng.choice([-1e6, 1e6, 11.0, 1e10])
    elif kind == "malformed":
        observation = MALFORMED[rng.integers(len(MALFORMED))]
    elif kind == "stuck":
        observation = stuck
    return observation
