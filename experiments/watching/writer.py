"""The interface of metric writers: to send a training's scalars to another tool, write one class with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Run:
    """The training run that a writer is for.

    Attributes:
      name: of the run's files, as in two_room-seed0; unique in `folder`.
      folder: of the model.
      settings: of the command, as JSON.
      resumed_at: step at which the run goes on; what was written of later steps is written again. 0: a new run.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    resumed_at: int = 0


class MetricWriter(Protocol):
    """Takes the scalars of one training run, from one thread.

    A class with these methods, by its `_target_`, is a value of `watch`: a dataclass, whose fields are its settings.
    What `write` and `close` raise is logged once, and the training goes on without the writer.
    """

    def start(self, run: Run) -> None:
        """Begin a run, or go on with one from `run.resumed_at`.

        Raises:
          ImportError: a package is missing; this alone ends the command, before anything is trained.
        """

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take the scalars of one step, by name with a slash after the group; steps never decrease."""

    def close(self) -> None:
        """End the run; it may be resumed later."""
