"""Table of `jepa-mpc bench suite=training_profile`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

UPDATE = "update"  # the part that is a whole update
IDENTITY = ("task", "stage", "part")


@dataclass(frozen=True, kw_only=True)
class ProfileRow:
    """A whole update of one stage, or its operations of one kind."""

    task: str
    stage: str
    part: str  # `update`, or a kind of operation
    ms: float  # per update: wall time of the whole; of a kind summed over threads, under the profiler
    share: float | None = None  # of the summed time of all kinds
    operations: float  # per update
    gflop: float | None = None  # matrix products of an update, in GFLOP, counted in the traced program
    gflop_per_s: float | None = None
    sgemm_share: float | None = None  # of the rate of a plain product, measured in the same run
    command: str


def table(rows: Sequence[ProfileRow]) -> Table:
    """One line per stage."""
    header, lines = columns(rows)
    title = "goal training, per update: rate of matrix products, and shares of the operations' summed time"
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for name in header:
        result.add_column(name, justify="left" if name in ("task", "stage") else "right")
    for line in lines:
        result.add_row(*line)
    return result


def columns(rows: Sequence[ProfileRow]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table with one line per stage, in the order of the rows."""
    kinds = list(dict.fromkeys(row.part for row in rows if row.part != UPDATE))
    shares = {(row.task, row.stage, row.part): row.share for row in rows}
    lines = [
        [
            row.task,
            row.stage,
            f"{row.ms:.2f}",
            f"{row.gflop:.3f}",
            f"{row.gflop_per_s:.0f}",
            f"{row.sgemm_share:.0%}",
            *("" if (share := shares.get((row.task, row.stage, kind))) is None else f"{share:.0%}" for kind in kinds),
        ]
        for row in rows
        if row.part == UPDATE
    ]
    return ["task", "stage", "ms", "GFLOP", "GFLOP/s", "sgemm", *kinds], lines
