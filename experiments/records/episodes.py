"""What one run leaves behind for the eye: episodes, health figures and everything else the report page shows.

Plain numpy and plain Python, so that the page can be drawn without JAX, a simulator or the run that made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from envs.task import Scene


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """One executed episode of `T` environment steps, seen from above in metres.

    `imagined` holds plans as the model saw them when they were made: the environment step at which it planned and the
    positions decoded from its latents, the first of which is where the plan starts.
    """

    policy: str
    success: bool
    keypoints: Float[ndarray, "T+1 J 2"]
    goal_keypoints: Float[ndarray, "J 2"]
    states: Float[ndarray, "T+1 S"]
    goal: Float[ndarray, "G"]
    imagined: tuple[tuple[int, Float[ndarray, "H+1 2"]], ...] = ()

    @property
    def path(self) -> Float[ndarray, "T+1 2"]:
        """Positions of the keypoint that stands for the body: the last one."""
        return self.keypoints[:, -1]

    @property
    def steps(self) -> int:
        """T: how many actions were executed."""
        return len(self.keypoints) - 1


@dataclass(frozen=True)
class Health:
    """One figure about a representation, the range in which it is healthy (`None`: no bound), and what it tells.

    `mend` says what to do where it lies outside.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    meaning: str
    mend: str = ""

    @property
    def bounded(self) -> bool:
        """Whether there is a range to lie in."""
        return self.low is not None or self.high is not None

    @property
    def ok(self) -> bool:
        """Whether the value is finite and within the range, ends included."""
        above = self.low is None or self.value >= self.low
        below = self.high is None or self.value <= self.high
        return math.isfinite(self.value) and above and below


@dataclass(frozen=True, eq=False)
class Report:
    """Everything on the report page. Rows have the columns of `results.json`; a value that is absent may be `None`.

    The row whose `policy` is `model` gives the headline figures. Each entry of `history` has a `step` and any number of
    losses or diagnostics by name; names may be missing at some steps. `coverage` are positions of the training data.
    """

    title: str
    task: str
    summary: str
    rows: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    health: Sequence[Health]
    scene: Scene
    episodes: Sequence[EpisodeRecord]
    coverage: Float[ndarray, "M 2"]
    video: bytes | None  # MP4
    video_note: str
    manifest: Mapping[str, Any]
    commands: Sequence[str]
    control_period: float  # seconds
    commands_note: str = ""  # what has to be known before they are run
