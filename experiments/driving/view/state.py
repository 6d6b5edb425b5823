"""Data exchanged between a control loop and its page, and the colours of the scene."""

from __future__ import annotations

from dataclasses import dataclass

from numpy import ndarray

Colour = tuple[int, int, int]
INK: Colour = (38, 44, 56)
FLOOR: Colour = (255, 253, 248)
WALL: Colour = (96, 108, 128)
BODY: Colour = (232, 92, 56)
GOAL: Colour = (33, 158, 120)
PLAN: Colour = (58, 112, 214)
CSS = {name: f"rgb{colour}" for name, colour in {"ink": INK, "body": BODY, "goal": GOAL, "plan": PLAN}.items()}
SERIES: tuple[Colour, ...] = (PLAN, (190, 120, 20), GOAL, (150, 80, 170), BODY)


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
