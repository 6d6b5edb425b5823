"""Scalars as event files of TensorBoard, by tensorboardX: neither torch nor tensorflow is needed.

Its `SummaryWriter` hands events to a thread, and what is still in its queue is lost in a kill; a resumed training would
never write it again. So events are written here one by one, with its records and messages.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .writer import Run

_PREFIX = "events.out.tfevents."  # TensorBoard reads files with this in their names, in the order of their names
_VERSION = "brain.Event:2"  # from which on a start hides the steps that it repeats


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
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        path = (Path(self.folder) if self.folder else run.folder / "tensorboard") / run.name
        path.mkdir(parents=True, exist_ok=True)
        number = len(list(path.glob(f"{_PREFIX}*")))  # keeps two files of one second apart, and in order
        self._records: Any = RecordWriter(
            str(path / f"{_PREFIX}{int(time.time())}.{number:04d}.{socket.gethostname()}")
        )
        self._append(file_version=_VERSION)
        first = run.resumed_at + 1 if run.resumed_at else 0
        self._append(step=first, session_log=SessionLog(status=SessionLog.START))
        self._records.flush()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append an event, which is on disk when this returns."""
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._append(step=step, summary=Summary(value=values))
        self._records.flush()

    def close(self) -> None:
        """Close the event file."""
        self._records.close()

    def _append(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())
