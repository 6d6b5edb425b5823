"""The figure of the planners' table: success against evaluations per plan, for each task and step budget."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from worldmodel.files import write_atomically

from ...pages.figures import COLOURS, PRINT, to_png
from .curves import Reference, curve, reference_success, step_budgets
from .rows import PlannerRow

STYLES = {"model": "o-", "oracle": "--"}


def draw(rows: Sequence[PlannerRow], table: Path, reference: Reference) -> None:
    """Write `<table>.png` and `<table>.svg`, unless there are no rows."""
    if not rows:
        return
    figure = _figure(rows, reference)
    write_atomically(table.with_suffix(".png"), to_png(figure))
    svg = io.BytesIO()
    with rc_context({"svg.hashsalt": table.stem}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    write_atomically(table.with_suffix(".svg"), svg.getvalue())


def _figure(rows: Sequence[PlannerRow], reference: Reference) -> Figure:
    tasks = list(dict.fromkeys(row.task for row in rows))
    planners = sorted({row.planner for row in rows})
    height = max(len(step_budgets(rows, task)) for task in tasks)
    figure = Figure(figsize=(3.0 * len(tasks) + 1.6, 2.5 * height + 0.3), layout="constrained")
    panels = figure.subplots(height, len(tasks), sharex=True, sharey="row", squeeze=False)
    for column, task in enumerate(tasks):
        budgets = step_budgets(rows, task)
        for line, panel in enumerate(panels[:, column]):
            if line >= len(budgets):
                panel.set_visible(False)
                continue
            _draw_panel(panel, rows, task, budgets[line], planners)
            target = reference_success(rows, task, "model", budgets[line], reference)
            if target is not None:
                panel.axhline(target.rate, color=PRINT.muted, linewidth=0.9, linestyle=":", zorder=1)
            panel.set_title(f"{task}: {budgets[line]} steps", fontsize=9, color=PRINT.ink, loc="left")
            if line == len(budgets) - 1:
                panel.set_xlabel("evaluations a plan", fontsize=8, color=PRINT.muted)
    for row in panels:
        row[0].set_ylabel("success", fontsize=8, color=PRINT.muted)
    figure.legend(handles=_legend(rows, planners, reference), loc="outside right center", frameon=False, fontsize=8)
    return figure


def _draw_panel(panel: Axes, rows: Sequence[PlannerRow], task: str, budget: int, planners: Sequence[str]) -> None:
    ticks = {row.plan_budget for row in rows}
    for planner, colour in zip(planners, COLOURS * len(planners), strict=False):
        for policy, style in STYLES.items():
            points = curve(rows, task, policy, planner, budget)
            if not points:
                continue
            x = [point.evaluations for point in points]
            line: dict[str, Any] = {"color": colour, "markersize": 3, "linewidth": 1.3 if policy == "model" else 0.9}
            panel.plot(x, [point.rate for point in points], style, alpha=1.0 if policy == "model" else 0.6, **line)
            if policy == "model":
                low, high = zip(*(point.interval for point in points), strict=True)
                panel.fill_between(x, low, high, color=colour, alpha=0.08, linewidth=0)
    panel.set_xscale("log")
    panel.set_xticks(sorted(ticks))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.grid(color=PRINT.line, linewidth=0.6)
    panel.tick_params(length=0, labelsize=7, labelcolor=PRINT.muted)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(PRINT.line)


def _legend(rows: Sequence[PlannerRow], planners: Sequence[str], reference: Reference) -> list[Line2D]:
    lines = [Line2D([], [], color=c, label=p) for p, c in zip(planners, COLOURS * len(planners), strict=False)]
    if any(row.policy == "oracle" for row in rows):
        lines.append(Line2D([], [], color=PRINT.muted, marker="o", markersize=3, label="on the model"))
        lines.append(Line2D([], [], color=PRINT.muted, linestyle="--", label="on the true dynamics"))
    if any((row.planner, row.plan_budget) == (reference.planner, reference.plan_budget) for row in rows):
        label = f"{reference.planner} at {reference.plan_budget}"
        lines.append(Line2D([], [], color=PRINT.muted, linewidth=0.9, linestyle=":", label=label))
    return lines
