"""`jepa-mpc list`: what there is to choose from, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..reference.lists import LISTS, Request, contents, shown
from ..shell.did_you_mean import did_you_mean

_WIDTH = 120  # columns where there is no terminal
_SENTENCES = ("what", "when", "question", "meaning")
_UNITS = {
    "control_period_s": "period (s)",
    "budget_steps": "budget (steps)",
    "success_rate": "success",
    "is_test": "test",
}


def run(cfg: DictConfig) -> list[dict[str, Any]]:
    """Print the list `cfg.what`, or what can be listed, and return its rows.

    Raises:
      ValueError: an unknown list or task, or a task for a list that does not depend on it.
    """
    if cfg.what is None:
        rows = contents()
        _show(rows, "jepa-mpc list NAME shows one of these.")
        return rows
    if cfg.of is not None and cfg.what != "sensors":
        raise ValueError(f"`jepa-mpc list {cfg.what}` is the same for every task: leave out task={cfg.of}")
    name = str(cfg.what)
    if name not in LISTS:
        raise ValueError(f"there is no list {name!r}: choose from {', '.join(LISTS)}{did_you_mean(name, LISTS)}")
    listing = LISTS[name]
    rows = listing.rows(Request(None if cfg.of is None else str(cfg.of), Path(cfg.runs)))
    _show(rows, listing.note)
    return rows


def _show(rows: list[dict[str, Any]], note: str) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    columns = [name for name in (rows[0] if rows else {}) if any(row[name] not in (None, "", []) for row in rows)]
    for place, name in enumerate(columns):
        numbers = all(isinstance(row[name], int | float | None) and not isinstance(row[name], bool) for row in rows)
        least = 24 if name in _SENTENCES else None
        heading = _UNITS.get(name, name.replace("_", " "))
        table.add_column(
            heading, justify="right" if numbers else "left", no_wrap=place == 0, overflow="fold", min_width=least
        )
    for row in rows:
        table.add_row(*(Text(shown(row[name])) for name in columns))
    console.print(table)
    console.print(Text(note, style="dim"))
