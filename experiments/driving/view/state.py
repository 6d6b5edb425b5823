"""Data exchanged between a control loop and its page."""

from __future__ import annotations

from dataclasses import dataclass

from numpy import ndarray


@dataclass(frozen=True)
class Moment:
    """One control instant of a drive whose model observes pictures."""

    number: int  # control periods since the episode began
    observation: dict[str, ndarray]  # by sensor
    action: ndarray  # [A] that was sent
    plan: ndarray | None  # [T, A] the rest of the plan


@dataclass(frozen=True)
class Picture:
    """One moment of a drive."""

    state: ndarray  # [S]
    seconds: float  # since the episode began
    source: str
    wrong: tuple[str, ...]
    imagined: ndarray | None  # [H, Q] keypoints, flat
    terms: ndarray | None  # weighted costs of the plan, in the order of the names
    plan_ms: float | None
    successes: int
    episodes: int
    late: int
    reached: bool
    known: bool = True  # whether the goals' coordinates are known, by which successes are counted
    moment: Moment | None = None  # the control instant since the last picture, if there was one


@dataclass
class Wishes:
    """Visitors' requests since the loop's last call."""

    goal: ndarray | None = None  # [G]
    weights: dict[str, float] | None = None
    skip: bool = False  # skip to the next start and goal

    def __bool__(self) -> bool:
        return self.goal is not None or self.weights is not None or self.skip
