"""The figure of the latency table: time of a plan against samples, horizon and iterations, for each planner."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from worldmodel.files import write_atomically

from ...pages.figures import COLOURS, PRINT, to_png
from .rows import AXES, LatencyRow, sweep

LABELS = {"num_samples": "samples N", "horizon": "horizon H (model steps)", "iterations": "iterations"}


def draw(rows: Sequence[LatencyRow], table: Path) -> None:
    """Write `<table>.png` and `<table>.svg`, unless no planner was measured along any axis."""
    planners = list(dict.fromkeys(row.planner for row in rows))
    axes = [axis for axis in AXES if any(len(sweep(rows, planner, axis)) > 1 for planner in planners)]
    if not axes:
        return
    figure = _figure(rows, planners, axes)
    write_atomically(table.with_suffix(".png"), to_png(figure))
    svg = io.BytesIO()
    with rc_context({"svg.hashsalt": table.stem}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    write_atomically(table.with_suffix(".svg"), svg.getvalue())


def _figure(rows: Sequence[LatencyRow], planners: Sequence[str], axes: Sequence[str]) -> Figure:
    figure = Figure(figsize=(3.2 * len(axes) + 1.4, 2.9), layout="constrained")
    panels = figure.subplots(1, len(axes), sharey=True, squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=True):
        ticks: set[int] = set()
        for planner, colour in zip(planners, COLOURS * len(planners), strict=False):
            found = sweep(rows, planner, axis)
            if len(found) < 2:
                continue
            x = [getattr(row, axis) for row in found]
            panel.plot(x, [row.p50_ms for row in found], "o-", color=colour, markersize=3, linewidth=1.4, label=planner)
            panel.fill_between(
                x, [row.p50_ms for row in found], [row.p99_ms for row in found], color=colour, alpha=0.10, linewidth=0
            )
            ticks.update(x)
        panel.set(xscale="log", yscale="log", xlabel=LABELS[axis])
        panel.set_xticks(sorted(ticks))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.grid(color=PRINT.line, linewidth=0.6)
        panel.tick_params(length=0, labelsize=8, labelcolor=PRINT.muted)
        for side, spine in panel.spines.items():
            spine.set_visible(side in ("bottom", "left"))
            spine.set_color(PRINT.line)
    panels[0].set_ylabel("ms a plan: p50, shaded to p99")
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=8)
    return figure
