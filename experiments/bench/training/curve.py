"""Success against training time: shorter and longer trainings of one recipe, as a table and as a figure."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from ...pages.figures import COLOURS, PRINT
from ...records.results import Row

POLICIES = {"model": "planner", "reflex": "reflex"}  # policy of a row, and its name on the page
DEFAULT, STOPPED = "default", "early_stop"
TICKS = (30, 60, 120, 240, 480)  # seconds


def columns(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: a line for each task and policy, a column for each length of the training, shortest first.

    The last column is the default with early stopping.
    """
    timed = sorted(rows, key=lambda row: (row.variant == STOPPED, row.train_seconds or 0))
    lengths = list(dict.fromkeys(row.variant or DEFAULT for row in timed))
    found = {(row.task, row.policy, row.variant or DEFAULT): row for row in rows}
    lines = [
        [task, name, *(_cell(found.get((task, policy, length))) for length in lengths)]
        for task in dict.fromkeys(row.task for row in rows)
        for policy, name in POLICIES.items()
    ]
    return ["task", "acts by", *lengths], lines


def drawn(rows: Sequence[Row]) -> bytes:
    """The figure as an SVG: a panel for each policy, a line for each task, with its 95 % intervals.

    A cross is the default with early stopping.
    """
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    panels = figure.subplots(1, len(POLICIES), sharex=True, sharey=True)
    tasks = list(dict.fromkeys(row.task for row in rows))
    for panel, (policy, name) in zip(panels, POLICIES.items(), strict=True):
        for task, colour in zip(tasks, COLOURS, strict=False):
            _line(panel, [row for row in rows if (row.task, row.policy) == (task, policy)], task, colour)
        panel.set_title(name, fontsize=9, color=PRINT.ink, loc="left")
        panel.set_xlabel("training, s", fontsize=8, color=PRINT.muted)
        _style(panel)
    panels[0].set_ylabel("success", fontsize=8, color=PRINT.muted)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    svg = io.BytesIO()
    with rc_context({"svg.hashsalt": "training_curve"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue()


def _cell(row: Row | None) -> str:
    if row is None or row.success_rate is None or row.train_seconds is None:
        return ""
    return f"{row.success_rate:.0%}, {row.train_seconds:.0f} s"


def _line(panel: Axes, rows: Sequence[Row], task: str, colour: str) -> None:
    stopped = [(row.train_seconds or 0, row.success_rate or 0) for row in rows if row.variant == STOPPED]
    for seconds_of_one, rate in stopped:
        panel.plot(seconds_of_one, rate, "x", color=colour, markersize=6, clip_on=False, zorder=3)
    points = sorted(
        (row.train_seconds or 0, row.success_rate or 0, row.ci_low or 0, row.ci_high or 0)
        for row in rows
        if row.variant != STOPPED
    )
    if not points:
        return
    seconds, rates, low, high = zip(*points, strict=True)
    panel.plot(seconds, rates, "o-", color=colour, markersize=3, linewidth=1.3, label=task)
    panel.fill_between(seconds, low, high, color=colour, alpha=0.08, linewidth=0)


def _style(panel: Axes) -> None:
    panel.set_xscale("log")
    panel.set_xticks(TICKS)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.set_ylim(0, 1.02)
    panel.grid(color=PRINT.line, linewidth=0.6)
    panel.tick_params(length=0, labelsize=7, labelcolor=PRINT.muted)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(PRINT.line)
