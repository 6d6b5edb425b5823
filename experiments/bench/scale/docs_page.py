"""Table of docs/scale.md, generated from the rows in experiments/results.

The prose is written by hand; `python -m experiments.bench.scale.docs_page` writes the text between two markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worldmodel.files import write_atomically

from ...records.manifest import machine_of
from ...records.results import Value
from ...records.table_file import read, read_beside
from ...shell.shadowing import ROOT
from ..markers import between, unmeasured

PAGE = ROOT / "docs" / "scale.md"
RESULTS = ROOT / "experiments" / "results"
SUITE = "scale"
MEANING = {
    "overhead_s": "engine overhead of a step beyond its process, s",
    "two_core_speedup": "time of one process of one core over that of two, evaluations alone",
    "ray_equals_local": "a cluster of four one-core nodes measures the same rows (1: yes)",
    "ray_rows": "rows compared",
    "ray_rows_that_differ": "rows that differ in anything but times",
    "kills": "kills of a worker, a node or the driver at random moments",
    "kills_lost_cells": "rows lost by them",
}


def page(text: str, results: Path) -> str:
    """The page with its table regenerated from the rows in the folder `results`.

    Raises:
      ValueError: a marker is missing from the page.
    """
    path = results / f"{SUITE}.csv"
    values = read(path, Value)
    if not values:
        return between(PAGE, text, SUITE, unmeasured(SUITE))
    machines = "; ".join(dict.fromkeys(machine_of(made) for made in (read_beside(path) or {}).values()))
    content = "\n".join([*_lines(values), "", f"Measured on {machines}. Rows: `experiments/results/{path.name}`."])
    return between(PAGE, text, SUITE, content)


def _lines(values: Sequence[Value]) -> list[str]:
    def words(case: str) -> str:
        machines = case.removeprefix("makespan_ratio_")
        return MEANING.get(case) or f"makespan over the least possible one, machines in the replay: {int(machines):,}"

    order = [*MEANING, *(each.case for each in values if each.case not in MEANING)]
    shown = sorted(values, key=lambda each: order.index(each.case))
    return ["| what | measured |", "| --- | ---: |", *(f"| {words(each.case)} | {each.value:.3g} |" for each in shown)]


if __name__ == "__main__":
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), RESULTS))
