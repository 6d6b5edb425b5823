"""Data for the report page of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from envs.task import Scene

from .episodes import EpisodeRecord
from .health import Health


@dataclass(frozen=True, eq=False)
class Report:
    """Content of the report page. Rows have the columns of `results.json`; a missing value may be `None`.

    The row whose `policy` is `model` gives the headline figures. Each entry of `history` has a `step` and any number of
    losses or diagnostics by name; names may be missing at some steps. `coverage` are positions of the training data.
    """

    title: str
    task: str
    summary: str
    rows: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    health: Sequence[Health]
    scene: Scene | None  # of a task that can be seen from above
    episodes: Sequence[EpisodeRecord]
    coverage: Float[ndarray, "M 2"]
    video: bytes | None  # MP4
    video_note: str
    manifest: Mapping[str, Any]
    steps: Sequence[tuple[str, str]]  # what to do next: reason, and command
    control_period: float  # seconds
    notice: str = ""  # above everything else, where the page is not the final one
