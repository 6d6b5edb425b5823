"""Simulation and drawing of many clips in parallel processes without JAX.

A clip depends on its number alone, so the processes are sent numbers, and the result is the same for any count of them.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from numpy import ndarray

from ..cores import available_cores
from ..pipes import end, receive, write
from .course import Clip
from .drawing import SIZE

logger = logging.getLogger(__name__)

WORTH_WORKERS = 64  # clips that outweigh the second that a worker takes to start
_TOGETHER = 32  # clips that a process draws at a time: 12.6 MB of 64 × 64


@dataclass(frozen=True)
class Drawn:
    """Clips and their pictures, C of them."""

    pictures: UInt8[ndarray, "C T h w 3"]
    rows: Float[ndarray, "C T S"]  # states and looks
    actions: Float32[ndarray, "C U 1"]
    events: Int[ndarray, "C"]  # picture of the event; 0 where none is known

    @classmethod
    def joined(cls, parts: Sequence[Drawn]) -> Drawn:
        """All clips of several parts, in order."""
        names = ("pictures", "rows", "actions", "events")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def first(self, count: int) -> Drawn:
        """The first clips."""
        return Drawn(self.pictures[:count], self.rows[:count], self.actions[:count], self.events[:count])


class Studio:
    """Draws clips in this process and in workers, which start when they are first used and end with `close`.

    Args:
      size: width and height of the pictures.
      workers: processes besides this one; None: as many as there are other cores.
    """

    def __init__(self, size: int = SIZE, workers: int | None = None):
        self._size, self._count = size, available_cores() - 1 if workers is None else workers
        self._own: Any = None
        self._processes: list[subprocess.Popen[bytes]] | None = None
        self._finalizer: Any = None

    def possible(self, seed: int, numbers: Sequence[int], source: str = "collect") -> Drawn:
        """Draw possible clips, as `possible.possible` returns them."""
        return self._all({"seed": seed, "source": source}, numbers, 1)

    def quadruplets(
        self,
        name: str,
        visibility: str,
        seed: int,
        numbers: Sequence[int],
        source: str = "evaluate",
        possible_only: bool = False,
    ) -> Drawn:
        """Draw quadruplets, four clips each: as `properties.quadruplet` returns them.

        Args:
          name: of the property.
          visibility: `visible` or `occluded`.
          seed: of the clips.
          numbers: of the quadruplets.
          source: random stream.
          possible_only: leave out the impossible clips, so that there are two of each quadruplet.
        """
        request = {"name": name, "visibility": visibility, "seed": seed, "source": source}
        kept = 2 if possible_only else 4
        return self._all({**request, "kept": kept}, numbers, kept)

    def close(self) -> None:
        """Free the context and end the processes; both start again when needed."""
        if self._own is not None:
            self._own.close()
            self._own = None
        if self._finalizer is not None:
            self._finalizer()
        self._processes = self._finalizer = None

    def _all(self, request: dict[str, Any], numbers: Sequence[int], clips: int) -> Drawn:
        wanted = [int(each) for each in numbers]
        width = max(1, _TOGETHER // clips)
        parts = [{**request, "numbers": wanted[at : at + width]} for at in range(0, len(wanted), width)]
        workers = self._workers() if len(wanted) * clips >= WORTH_WORKERS else []
        found = list[Drawn]()
        while parts:
            own, *theirs = parts[: len(workers) + 1]
            try:
                for process, part in zip(workers, theirs, strict=False):
                    write(process.stdin, json.dumps(part).encode())
                drawn = [self._draw(own)]
                for process, _ in zip(workers, theirs, strict=False):
                    drawn.append(Drawn(*(receive(process.stdout) for _ in range(4))))
            except (OSError, EOFError):
                logger.warning("a process that draws has ended: clips are drawn in this one from here on")
                self.close()
                self._processes = workers = []
                continue
            found += drawn
            parts = parts[1 + len(theirs) :]
        return Drawn.joined(found)

    def _draw(self, request: dict[str, Any]) -> Drawn:
        if self._own is None:
            from .drawing import Painter  # OpenGL is loaded only for drawing

            self._own = Painter(self._size)
        return draw(self._own, request)

    def _workers(self) -> list[subprocess.Popen[bytes]]:
        if self._processes is None:
            command = [sys.executable, "-P", "-m", f"{__package__}.worker", str(self._size)]
            paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            pipes: dict[str, Any] = {
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.DEVNULL,
            }
            self._processes = [subprocess.Popen(command, env=paths, **pipes) for _ in range(self._count)]
            self._finalizer = weakref.finalize(self, end, self._processes)
        return self._processes


def draw(painter: Any, request: dict[str, Any]) -> Drawn:
    """Simulate and draw what a request names.

    Args:
      painter: a `drawing.Painter`.
      request: `seed`, `source` and `numbers`; for quadruplets `name`, `visibility` and `kept`, too.
    """
    from .possible import possible
    from .properties import quadruplet

    clips, events = list[Clip](), list[int]()
    for number in request["numbers"]:
        if "name" in request:
            four = quadruplet(request["name"], request["visibility"], request["seed"], number, request["source"])
            clips += four.clips[: request["kept"]]
            events += [four.event] * request["kept"]
        else:
            clips.append(possible(request["seed"], number, request["source"]))
            events.append(0)
    return Drawn(
        np.stack([painter(clip) for clip in clips]),
        np.stack([clip.rows() for clip in clips]),
        np.stack([clip.actions for clip in clips]),
        np.asarray(events),
    )
