"""The table of `jepa-mpc bench suite=latency`: its row, its files, and the growth of latency along each axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...records import table_file
from ...records.file_lock import locked

AXES = ("num_samples", "horizon", "iterations")


@dataclass(frozen=True, kw_only=True)
class LatencyRow:
    """A measurement of a planner: milliseconds of a call that plans for `batch` environments."""

    planner: str
    num_samples: int  # candidates of the first iteration; starts for the gradient planner
    horizon: int  # model steps
    iterations: int
    latent_dim: int
    width: int  # of encoder and predictor; the critic has half of it
    batch: int  # environments planned for in one call
    p50_ms: float
    p95_ms: float
    p99_ms: float
    gflops: float  # GFLOP/s: analytic GEMM work of the call over its median time
    sgemm_share: float  # share of a plain matrix product's rate, measured in the same run
    compile_s: float
    command: str

    def identity(self) -> tuple[str | int, ...]:
        """The fields of `IDENTITY`, which specify the measurement."""
        return tuple(getattr(self, name) for name in IDENTITY)


COLUMNS = tuple(field.name for field in fields(LatencyRow))
IDENTITY = ("planner", "num_samples", "horizon", "iterations", "latent_dim", "width", "batch")


def read(path: Path) -> list[LatencyRow]:
    """The rows at `path`; empty if there is no file.

    Raises:
      ValueError: the file is another table, or a row is damaged.
    """
    return table_file.read(path, LatencyRow)


def write(path: Path, rows: Sequence[LatencyRow], manifests: Sequence[Mapping[str, Any]]) -> None:
    """Write the table and, next to it, the manifest of each row. Rows that other processes added are kept."""
    with locked(path):
        ours = {row.identity() for row in rows}
        others = [row for row in read(path) if row.identity() not in ours]
        table_file.write_beside(path, [*manifests, *read_manifests(path, others)])
        table_file.write(path, LatencyRow, [*rows, *others])


def read_manifests(path: Path, rows: Sequence[LatencyRow]) -> list[dict[str, Any]]:
    """The manifests next to `path` that belong to any of `rows`, each with these rows only.

    Raises:
      ValueError: the file of manifests is damaged.
    """
    kept = {row.identity() for row in rows}
    entries = []
    try:
        for entry in table_file.read_beside(path) or []:
            measured = [each for each in entry["rows"] if tuple(each["identity"]) in kept]
            if measured:
                entries.append({**entry, "rows": measured})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"the manifests next to {path.name} are damaged ({error!r}): restore them, or remove {path.name} as well"
        ) from error
    return entries


def sweep(rows: Sequence[LatencyRow], planner: str, axis: str) -> list[LatencyRow]:
    """The longest series of one planner's rows that differ in `axis` only, in its order."""
    groups: dict[tuple[Any, ...], list[LatencyRow]] = {}
    for row in rows:
        if row.planner == planner:
            others = tuple(getattr(row, name) for name in IDENTITY if name != axis)
            groups.setdefault(others, []).append(row)
    longest = max(groups.values(), key=len, default=[])
    return sorted(longest, key=lambda row: getattr(row, axis))


def growth(rows: Sequence[LatencyRow], planner: str, axis: str) -> float | None:
    """Exponent b of `p50 = a * axis^b` along the planner's sweep, by least squares; None without a sweep."""
    found = sweep(rows, planner, axis)
    if len(found) < 2:
        return None
    x, y = np.log([[getattr(row, axis), row.p50_ms] for row in found]).T
    return float(np.polyfit(x, y, 1)[0])
