"""Scalars as event files of TensorBoard, by tensorboardX: neither torch nor tensorflow is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .writer import Run


@dataclass
class TensorBoard:
    """Writes to the folder `tensorboard` beside the models, with one folder for each run.

    A resumed run adds an event file that hides what the earlier ones have of later steps, and a new run of the same
    name hides the whole of an older one.

    Raises:
      ImportError: tensorboardX is not installed.
    """

    folder: str = ""  # of all runs; empty: beside the models

    def __post_init__(self) -> None:
        if find_spec("tensorboardX") is None:
            raise ImportError("watch=tensorboard needs tensorboardX: pip install 'jepa-mpc[tensorboard]'")

    def start(self, run: Run) -> None:
        """Open an event file."""
        from tensorboardX import SummaryWriter

        path = (Path(self.folder) if self.folder else run.folder / "tensorboard") / run.name
        # Event files are named by second and host: a number keeps two of one second apart.
        number = len(list(path.glob("events.out.tfevents.*")))
        self._writer: Any = SummaryWriter(
            str(path), purge_step=run.resumed_at + 1 if run.resumed_at else 0, filename_suffix=f".{number}"
        )

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append one event for each scalar, and hand them to the disk: a kill loses nothing of them."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
