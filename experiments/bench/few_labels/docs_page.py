"""Table of docs/video.md, generated from the rows in experiments/results.

The prose is written by hand and contains no measured number; `python -m experiments.bench.few_labels.docs_page`
writes the text between two markers.
"""

from __future__ import annotations

from pathlib import Path

from worldmodel.files import write_atomically

from ...records import table_file
from ...records.manifest import machine_of
from ...shell.shadowing import ROOT
from ..markers import between, unmeasured
from .rows import WORDS, FewLabelsRow, columns

PAGE = ROOT / "docs" / "video.md"
RESULTS = ROOT / "experiments" / "results"
SUITE = "few_labels"


def page(text: str, results: Path) -> str:
    """The page with its table regenerated from the rows in the folder `results`.

    Raises:
      ValueError: a marker is missing from the page.
    """
    return between(PAGE, text, SUITE, _table(results / f"{SUITE}.csv"))


def _table(path: Path) -> str:
    rows = table_file.read(path, FewLabelsRow)
    if not rows:
        return unmeasured(SUITE)
    header, lines = columns(rows)
    machines = "; ".join(dict.fromkeys(machine_of(entry["manifest"]) for entry in table_file.read_entries(path)))
    table = [header, ["---" if name in WORDS else "---:" for name in header], *lines]
    found = [f"| {' | '.join(line)} |" for line in table]
    return "\n".join([*found, "", f"Measured on {machines}. Rows: `experiments/results/{path.name}`."])


if __name__ == "__main__":
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), RESULTS))
