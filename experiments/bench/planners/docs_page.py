"""The tables of docs/choosing_a_planner.md, generated from the rows in experiments/results.

The prose is written by hand and contains no measured number; `python -m experiments.bench.planners.docs_page` writes
the text between two markers, and copies the figure beside the page: the site shows only what is in docs/.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from worldmodel.files import write_atomically

from ... import build
from ...shell.shadowing import ROOT
from ..latency import points as latency_grid
from ..latency import rows as latency_table
from ..latency.rows import LatencyRow
from ..markers import between, unmeasured
from . import rows as planners_table
from .curves import Reference, needed_text, reference_success, step_budgets
from .rows import PlannerRow
from .suite import reference_of

PAGE = ROOT / "docs" / "choosing_a_planner.md"
RESULTS = ROOT / "experiments" / "results"
FIGURE = PAGE.with_name("planners.svg")


def page(text: str, results: Path) -> str:
    """The page with its tables regenerated from the rows in the folder `results`.

    Raises:
      ValueError: a marker is missing from the page.
    """
    reference = reference_of(build.compose("bench", "suite=planners"))
    rows = planners_table.read(results / "planners.csv")
    latencies = latency_table.read(results / "latency.csv")
    text = between(PAGE, text, "planners", _success(rows, reference) if rows else unmeasured("planners"))
    return between(PAGE, text, "latency", _times(latencies) if latencies else unmeasured("latency"))


def _success(rows: Sequence[PlannerRow], reference: Reference) -> str:
    """The figure, and the evaluations that each planner needs on the models for the success of the reference."""
    tasks = [(task, steps) for task in dict.fromkeys(row.task for row in rows) for steps in step_budgets(rows, task)]
    target = f"`{reference.planner}` at {reference.plan_budget}"
    lines = [
        "![Success against evaluations a plan, one line a planner](planners.svg)",
        "",
        f"On the learned models, the evaluations with which a planner succeeds as often as {target}, and their share",
        "of its own; `> N`: not with N, the most that was measured. Point estimates: the intervals are in the figure.",
        "",
        f"| planner | {' | '.join(f'{task}, {steps} steps' for task, steps in tasks)} |",
        f"|---|{'---|' * len(tasks)}",
        f"| success of {target} | {' | '.join(_rate(rows, task, steps, reference) for task, steps in tasks)} |",
    ]
    for planner in sorted({row.planner for row in rows}):
        cells = [needed_text(rows, task, "model", planner, steps, reference) for task, steps in tasks]
        lines.append(f"| {planner} | {' | '.join(cells)} |")
    seeds, episodes = {row.seed for row in rows}, {row.episodes for row in rows if row.policy == "model"}
    models = f"Seed {_list(seeds)}" if len(seeds) == 1 else f"Seeds {_list(seeds)}"
    lines += ["", f"{models}, {_list(episodes)} episodes each. Rows: `experiments/results/planners.csv`."]
    return "\n".join(lines)


def _rate(rows: Sequence[PlannerRow], task: str, steps: int, reference: Reference) -> str:
    found = reference_success(rows, task, "model", steps, reference)
    if found is None:
        return ""
    low, high = found.interval
    return f"{found.rate:.1%} ({100 * low:.1f} – {100 * high:.1f})"


def _times(rows: Sequence[LatencyRow]) -> str:
    """Table of milliseconds per plan, with a planner's own settings and with shared ones."""
    cfg = build.compose("bench", "suite=latency")
    measured = {row.identity(): row for row in rows}
    lines = ["| planner | own settings | p50 / p99 | shared settings | p50 / p99 |", "|---|---|---|---|---|"]
    for name, planner in latency_grid.planners(cfg).items():
        points = islice(
            latency_grid.points(cfg, {name: planner}), 2
        )  # the planner's own settings, and the base of the grid
        cells = [cell for point in points for cell in _time(measured.get(dataclasses.astuple(point)))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", "Samples (or starts) × model steps × iterations. Rows: `experiments/results/latency.csv`."]
    )


def _time(row: LatencyRow | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    return f"{row.num_samples} × {row.horizon} × {row.iterations}", f"{row.p50_ms:.1f} / {row.p99_ms:.1f} ms"


def _list(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


if __name__ == "__main__":
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), RESULTS))
    write_atomically(FIGURE, (RESULTS / FIGURE.name).read_bytes())
