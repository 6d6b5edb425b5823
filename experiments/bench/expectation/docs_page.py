"""Table of docs/expectation.md, generated from the rows in experiments/results.

The prose is written by hand and contains no measured number; `python -m experiments.bench.expectation.docs_page`
writes the text between two markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worldmodel.files import write_atomically

from ...shell.shadowing import ROOT
from ..markers import between, measured
from .rows import ExpectationRow, columns

PAGE = ROOT / "docs" / "expectation.md"
RESULTS = ROOT / "experiments" / "results"
SUITE = "expectation"
_WORDS = 2  # columns of words


def page(text: str, results: Path) -> str:
    """The page with its table regenerated from the rows in the folder `results`.

    Raises:
      ValueError: a marker is missing from the page.
    """
    return between(PAGE, text, SUITE, measured(results / f"{SUITE}.csv", ExpectationRow, columns, _WORDS, _counted))


def _counted(rows: Sequence[ExpectationRow]) -> str:
    seeds, pairs = len({row.seed for row in rows}), min(row.pairs for row in rows)
    return f"{seeds} seed{'s' if seeds > 1 else ''}, {pairs} pairs or more each. "


if __name__ == "__main__":
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), RESULTS))
