"""Learning curves task by task, against environment steps, gradient steps or wall-clock.

Solid, in colour: measured runs; several as their mean, with their range behind it. Grey markers: published scores,
which are known against environment steps only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..pages.figures import COLOURS, PRINT, Palette
from ..records.curves import MeanCurve, Run
from .published import SUITE, PublishedScore, published_name
from .tables import short

AXES = {"env_steps": "environment steps", "gradient_steps": "gradient steps", "wall_s": "seconds of training"}
COLUMNS = 4  # of panels
MARKERS = "DsP^vX*<>"
ROOM = 1.04  # factor on the horizontal axis, so that a marker at its end is not cut


def draw(
    runs: Sequence[Run],
    published: Sequence[PublishedScore],
    axis: str,
    palette: Palette = PRINT,
) -> Figure | None:
    """A figure with one panel per task against one of `AXES`; None if no run recorded that axis."""
    known = [run for run in runs if np.isfinite(getattr(run, axis)).all()]
    if not known:
        return None
    tasks = list(dict.fromkeys(run.task for run in known))
    colours = _colours(runs)
    markers = dict(zip(dict.fromkeys(score.method for score in published), MARKERS * len(published), strict=False))
    width = min(COLUMNS, len(tasks))
    height = -(-len(tasks) // width)
    inches = 5.1 if width == 1 else 2.7 * width + 0.3
    figure = Figure(figsize=(inches, (3.0 if width == 1 else 2.1) * height + 0.75), layout="constrained")
    panels = figure.subplots(height, width, squeeze=False)
    for panel in panels.flat[len(tasks) :]:
        panel.set_visible(False)
    shown: set[str] = set()
    for panel, task in zip(panels.flat, tasks, strict=False):
        end = _draw_measured(panel, [run for run in known if run.task == task], axis, colours)
        if axis == "env_steps":
            scores = [score for score in published if score.task == published_name(task) and score.step <= end]
            _draw_published(panel, scores, markers, palette)
            shown |= {score.method for score in scores}
        _style(panel, task, end, palette)
    figure.supxlabel(AXES[axis], fontsize=8, color=palette.muted)
    figure.supylabel("return", fontsize=8, color=palette.muted)
    handles = _legend(known, colours, {name: mark for name, mark in markers.items() if name in shown}, palette)
    rooms = [0.5 + 0.062 * len(str(handle.get_label())) for handle in handles]  # inches of an entry at this size
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles) if sum(rooms) <= inches else max(1, int(inches / max(rooms))),
        frameon=False,
        fontsize=8,
        labelcolor=palette.ink,
    )
    return figure


def _colours(runs: Sequence[Run]) -> dict[str, str]:
    methods = list(dict.fromkeys(run.method for run in runs))
    return dict(zip(methods, COLOURS * len(methods), strict=False))


def _draw_measured(panel: Axes, runs: Sequence[Run], axis: str, colours: dict[str, str]) -> float:
    """Draw the runs of a task; return the end of the longest."""
    for method in dict.fromkeys(run.method for run in runs):
        own, colour = [run for run in runs if run.method == method], colours[method]
        if len(own) == 1:
            along = getattr(own[0], axis)
            panel.plot(along, own[0].returns, color=colour, linewidth=1.5, solid_capstyle="round", zorder=4)
            if len(along) == 1:
                panel.plot(along, own[0].returns, "o", color=colour, markersize=4, zorder=4)
            continue
        for run in own:
            panel.plot(getattr(run, axis), run.returns, color=colour, linewidth=0.6, alpha=0.35, zorder=3)
        mean = MeanCurve.of(own)
        along = getattr(mean, axis)
        panel.fill_between(along, mean.low, mean.high, color=colour, alpha=0.13, linewidth=0, zorder=2)
        panel.plot(along, mean.returns, color=colour, linewidth=1.7, solid_capstyle="round", zorder=4)
    return max(float(getattr(run, axis)[-1]) for run in runs)


def _draw_published(panel: Axes, scores: Sequence[PublishedScore], markers: dict[str, str], palette: Palette) -> None:
    for method in dict.fromkeys(score.method for score in scores):
        own = sorted((score for score in scores if score.method == method), key=lambda score: score.step)
        panel.plot(
            [score.step for score in own],
            [score.mean for score in own],
            marker=markers[method],
            color=palette.muted,
            markerfacecolor="none",
            markeredgewidth=1.0,
            markersize=5,
            linewidth=0.8,
            linestyle=(0, (3, 3)),
            zorder=5,
        )


def _style(panel: Axes, task: str, end: float, palette: Palette) -> None:
    panel.set_title(_literal(short(task)), fontsize=9, color=palette.ink, loc="left")
    panel.set_xlim(0, ROOM * max(end, 1e-9))
    if task.startswith(SUITE):
        panel.set_ylim(-20, 1020)
        panel.set_yticks([0, 250, 500, 750, 1000])
    else:
        panel.yaxis.set_major_locator(MaxNLocator(5))
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter(FuncFormatter(_number))
    panel.yaxis.set_major_formatter(FuncFormatter(_number))
    panel.grid(color=palette.line, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(length=0, labelsize=7, labelcolor=palette.muted)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(palette.line)


def _number(value: float, _: int) -> str:
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def _literal(name: str) -> str:
    """A user's name, escaped: matplotlib reads dollars as formulas and hides labels that begin with an underscore."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _legend(runs: Sequence[Run], colours: dict[str, str], markers: dict[str, str], palette: Palette) -> list[Line2D]:
    lines = [
        Line2D([], [], color=colours[method], linewidth=1.7, label=_literal(method))
        for method in dict.fromkeys(run.method for run in runs)
    ]
    marks = [
        Line2D(
            [],
            [],
            color=palette.muted,
            marker=marker,
            markerfacecolor="none",
            markersize=5,
            linewidth=0.8,
            linestyle=(0, (3, 3)),
            label=_literal(f"{method}, published"),
        )
        for method, marker in markers.items()
    ]
    return [*lines, *marks]
