"""Table of `jepa-mpc bench suite=representation`: its row, and what is printed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.table import Table

from ...records.intervals import wilson

WORDS = ("task", "condition", "method")
IDENTITY = ("task", "condition", "method", "updates", "seed")


@dataclass(frozen=True, kw_only=True)
class RepresentationRow:
    """One model under one condition."""

    task: str
    condition: str  # clean, or the distractor
    method: str  # a recipe of the suite
    updates: int  # of the stage that learns the representation
    seed: int  # of data, weights, training, held-out pairs and held-out episodes
    episodes: int
    successes: int
    success_rate: float
    r2_position: float | None  # held-out R² of a linear probe, the worst coordinate
    r2_velocity: float | None  # likewise
    leak: float | None  # share of the representation's variance that the distractor makes; None where there is none
    command: str

    @property
    def identity(self) -> tuple[str, str, str, int, int]:
        """The fields of `IDENTITY`."""
        return self.task, self.condition, self.method, self.updates, self.seed


def columns(rows: Sequence[RepresentationRow]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table: successes of all seeds together, means of the other numbers."""
    groups: dict[tuple[str, str, str, int], list[RepresentationRow]] = {}
    for row in rows:
        groups.setdefault((row.task, row.condition, row.method, row.updates), []).append(row)
    lines = []
    for (task, condition, method, updates), found in groups.items():
        reached, episodes = sum(row.successes for row in found), sum(row.episodes for row in found)
        low, high = wilson(reached, episodes)
        lines.append(
            [
                task,
                condition,
                method,
                f"{updates:,}",
                str(len(found)),
                f"{reached / episodes:.1%} ({100 * low:.1f}–{100 * high:.1f})",
                *(_mean([getattr(row, name) for row in found]) for name in ("r2_position", "r2_velocity", "leak")),
            ]
        )
    return [*WORDS, "updates", "seeds", "success (95 %)", "R² pos", "R² vel", "leak"], lines


def table(rows: Sequence[RepresentationRow]) -> Table:
    """The table of `columns`, to print: without intervals and the number of seeds, so that it is not too wide."""
    header, lines = columns(rows)
    shown = [number for number, name in enumerate(header) if name != "seeds"]
    result = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in (header[number] for number in shown):
        is_word = name in WORDS
        justify: Any = "left" if is_word else "right"
        result.add_column(name.partition(" (")[0], justify=justify, no_wrap=not is_word, overflow="fold")
    for line in lines:
        result.add_row(*(line[number].partition(" (")[0] for number in shown))
    return result


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.2f}" if known else ""
