"""Table of `jepa-mpc bench suite=few_labels`: its row, and what is printed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ...records.intervals import wilson

WORDS = ("task", "method")
IDENTITY = ("task", "share", "method", "seed")


@dataclass(frozen=True, kw_only=True)
class FewLabelsRow:
    """One model."""

    task: str
    share: float  # of the episodes that keep their actions
    method: str  # a recipe of the suite
    seed: int  # of data, hidden actions, weights, training and held-out pairs
    episodes: int
    successes: int
    success_rate: float
    ci_low: float
    ci_high: float
    labelled_steps: int
    train_seconds: float
    command: str

    @property
    def identity(self) -> tuple[str, float, str, int]:
        """The fields of `IDENTITY`."""
        return self.task, self.share, self.method, self.seed


def columns(rows: Sequence[FewLabelsRow]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table: a line for each task and method, a column for each share, successes of all seeds."""
    shares = sorted({row.share for row in rows})
    groups: dict[tuple[str, str], dict[float, list[FewLabelsRow]]] = {}
    for row in rows:
        groups.setdefault((row.task, row.method), {}).setdefault(row.share, []).append(row)
    lines = [[*group, *(_cell(found.get(share, ())) for share in shares)] for group, found in groups.items()]
    return [*WORDS, *("all" if share == 1 else f"{100 * share:g} %" for share in shares)], lines


def table(rows: Sequence[FewLabelsRow]) -> Table:
    """The table of `columns`, to print, without intervals."""
    header, lines = columns(rows)
    result = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in header:
        justify: Any = "left" if name in WORDS else "right"
        result.add_column(name, justify=justify, no_wrap=True)
    for line in lines:
        result.add_row(*(cell.partition(" (")[0] for cell in line))
    return result


def _cell(rows: Sequence[FewLabelsRow]) -> str:
    if not rows:
        return ""
    reached, episodes = sum(row.successes for row in rows), sum(row.episodes for row in rows)
    low, high = wilson(reached, episodes)
    seeds = "" if len(rows) == 1 else f", {len(rows)} seeds"
    return f"{reached / episodes:.1%} ({100 * low:.1f}–{100 * high:.1f}{seeds})"
