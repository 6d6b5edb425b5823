"""Tables of docs/training_speed.md, generated from the rows in experiments/results.

The prose is written by hand and contains no measured number; `python -m experiments.bench.training.docs_page` writes
the text between two markers, and the figure beside the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worldmodel.files import write_atomically

from ...records import table_file
from ...records.manifest import machine_of
from ...records.results import Row
from ...shell.shadowing import ROOT
from ..markers import between, measured, unmeasured
from . import curve, profile_rows
from . import rows as speed_rows
from .profile_rows import ProfileRow
from .rows import SpeedRow

PAGE = ROOT / "docs" / "training_speed.md"
RESULTS = ROOT / "experiments" / "results"
FIGURE = PAGE.with_name("training_curve.svg")


def page(text: str, results: Path) -> str:
    """The page with its tables regenerated from the rows in the folder `results`.

    Raises:
      ValueError: a marker is missing from the page.
    """
    found = {
        "training_speed": speed_rows.columns(table_file.read(results / "training_speed.csv", SpeedRow)),
        "training_profile": profile_rows.columns(table_file.read(results / "training_profile.csv", ProfileRow)),
    }
    for suite, (header, lines) in found.items():
        text = between(PAGE, text, suite, _table(suite, header, lines, results) if lines else unmeasured(suite))
    return between(PAGE, text, "training_curve", _curve(results / "training_curve.csv"))


def _curve(path: Path) -> str:
    """The figure and the table of success against training time."""
    table = measured(path, Row, curve.columns, words=2)
    return f"![Success against training time, one line a task]({FIGURE.name})\n\n{table}" if path.is_file() else table


def _table(suite: str, header: Sequence[str], lines: Sequence[Sequence[str]], results: Path) -> str:
    words = [name in ("task", "stage") for name in header]
    table = [header, ["---" if each else "---:" for each in words], *lines]
    entries = table_file.read_entries(results / f"{suite}.csv")
    machines = "; ".join(dict.fromkeys(machine_of(entry["manifest"]) for entry in entries))
    found = [f"| {' | '.join(line)} |" for line in table]
    return "\n".join([*found, "", f"Measured on {machines}. Rows: `experiments/results/{suite}.csv`."])


if __name__ == "__main__":
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), RESULTS))
    if rows := table_file.read(RESULTS / "training_curve.csv", Row):
        write_atomically(FIGURE, curve.drawn(rows))
