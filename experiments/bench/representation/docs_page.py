"""Table of docs/representation.md, generated from the rows in experiments/results.

The prose is written by hand and contains no measured number; `python -m experiments.bench.representation.docs_page`
writes the text between two markers.
"""

from __future__ import annotations

from pathlib import Path

from worldmodel.files import write_atomically

from ...shell.shadowing import ROOT
from ..markers import between, measured
from .rows import WORDS, RepresentationRow, columns

PAGE = ROOT / "docs" / "representation.md"
RESULTS = ROOT / "experiments" / "results"
SUITE = "representation"


def page(text: str, results: Path) -> str:
    """The page with its table regenerated from the rows in the folder `results`.

    Raises:
      ValueError: a marker is missing from the page.
    """
    return between(PAGE, text, SUITE, measured(results / f"{SUITE}.csv", RepresentationRow, columns, len(WORDS)))


if __name__ == "__main__":
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), RESULTS))
