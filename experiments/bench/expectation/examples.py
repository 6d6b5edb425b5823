"""Examples of the page: the first quadruplet of a case, and every method's surprise at its pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from envs.physics.properties import CASES
from envs.physics.studio import Drawn
from worldmodel.files import write_atomically

from .cells import Cell

_CURVE = "surprise_"


@dataclass(frozen=True)
class Example:
    """A quadruplet, and the surprise of methods at it."""

    property: str
    visibility: str
    pictures: UInt8[ndarray, "4 T h w 3"]
    event: int
    curves: dict[str, Float[ndarray, "4 T"]]  # by method


def save(folder: Path, cell: Cell, test: Drawn, curves: Float[ndarray, "C T"]) -> None:
    """Keep the first quadruplet of a case with a method's surprise, next to what other methods left there.

    Args:
      folder: of the suite's files.
      cell: of the row.
      test: clips of the case.
      curves: surprise at them.
    """
    path = _file(folder, cell.name, cell.visibility, cell.seed)
    kept: dict[str, ndarray] = {}
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            if np.array_equal(stored["pictures"], test.pictures[:4]):
                kept = {name: stored[name] for name in stored.files}
    kept |= {"pictures": test.pictures[:4], "event": test.events[:1], _CURVE + cell.method: curves[:4]}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **kept)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def load(folder: Path, seed: int) -> Iterator[Example]:
    """Read the examples of a seed, in the order of the cases; those that are missing are left out."""
    for name, visibility in CASES:
        path = _file(folder, name, visibility, seed)
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                curves = {each.removeprefix(_CURVE): stored[each] for each in stored.files if each.startswith(_CURVE)}
                yield Example(name, visibility, stored["pictures"], int(stored["event"][0]), curves)


def _file(folder: Path, name: str, visibility: str, seed: int) -> Path:
    return folder / "examples" / f"{name}-{visibility}-seed{seed}.npz"
