"""The curves of a diagnosis: each panel as a separate figure for the page, and all of them in one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..pages.figures import PRINT, THEME, Palette
from .cost_landscape import Slice
from .diagnosis import SHOWN, Diagnosis

Panel = Callable[[Axes, Diagnosis, Palette], None]

PATHS = 12  # imagined futures in one panel
PROBES = 16  # bars in one panel


def horizon(axes: Axes, found: Diagnosis, palette: Palette) -> None:
    """Draw the error relative to predicting no change, per step, with the true actions and with others."""
    seen = found.foresight
    assert seen is not None
    steps = np.arange(1, len(seen.model) + 1) * found.action_block
    axes.plot(steps, seen.shuffled / seen.unchanged, color=palette.muted, linewidth=1.3, label="shuffled actions")
    axes.plot(steps, seen.model / seen.unchanged, color=palette.accent, linewidth=1.8, marker="o", ms=3, label="model")
    axes.axhline(1.0, color=palette.muted, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="environment steps ahead", ylabel="error / that of no change")
    _style(axes, palette)
    _legend(axes, palette)


def distances(axes: Axes, found: Diagnosis, palette: Palette) -> None:
    """Draw median distances along drives over the remaining steps; Euclidean ones on the critic's scale."""
    reach = found.reach
    assert reach is not None
    top = 1.0
    if "critic" in reach.distances:
        steps, (low, median, high) = reach.curve("critic")
        top = max(float(median.max(initial=0.0)), 1e-9)
        axes.fill_between(steps, low, high, color=palette.accent, alpha=0.15, linewidth=0)
        axes.plot(steps, median, color=palette.accent, linewidth=1.8, label="critic")
        axes.plot(
            [0, reach.longest],
            [0, reach.longest],
            color=palette.wall,
            linewidth=1.0,
            linestyle=":",
            label="steps taken",
        )
    steps, (_, median, _) = reach.curve("euclid")
    scale = top / max(float(median.max(initial=0.0)), 1e-9)
    axes.plot(steps, scale * median, color=palette.muted, linewidth=1.3, label="Euclid, scaled")
    axes.set(xlabel="environment steps left", ylabel="distance to the end, steps")
    axes.set_ylim(0, 1.3 * max(axes.get_ylim()[1], 1e-9))  # room for the legend
    _style(axes, palette)
    _legend(axes, palette, "upper left")


def probe_names(found: Diagnosis) -> list[str]:
    """The probes that are drawn, from top to bottom."""
    return sorted(found.probes, key=lambda name: found.sensed[name] < SHOWN)[:PROBES]


def probes(axes: Axes, found: Diagnosis, palette: Palette) -> None:
    """Draw the held-out R² of each degree of freedom; a mark shows that of the same probe on the sensors.

    With many, those visible to the sensors come first, since only they are judged.
    """
    names = probe_names(found)
    scores = np.clip([found.probes[name] for name in names], 0.0, 1.0)
    places = np.arange(len(names))
    colours = [palette.accent if "vel" not in name else palette.good for name in names]
    axes.barh(places, scores, height=0.62, color=colours, alpha=0.45)  # so that text stands out on it in both themes
    for place, name in zip(places, names, strict=True):
        value = found.probes[name]
        inside = scores[place] > 0.75
        axes.text(
            scores[place] + (-0.02 if inside else 0.02),
            float(place),
            f"{value:.3f}",
            va="center",
            ha="right" if inside else "left",
            fontsize=8,
            color=palette.ink,
        )
    sensed = np.clip([found.sensed[name] for name in names], 0.0, 1.0)
    axes.plot(sensed, places, "|", color=palette.ink, ms=18, mew=1.4, clip_on=False, label="from the sensors")
    axes.set_yticks(places, names)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("R² of a linear probe, held out")
    _style(axes, palette, grid="x")


def typical(found: Diagnosis) -> Slice:
    """The slice with the median agreement."""
    return sorted(found.slices, key=lambda each: each.agreement)[len(found.slices) // 2]


def landscape(which: str) -> Panel:
    """Draw the slice of the `model` or the `truth` at the start with the median agreement; darker is cheaper."""

    def draw(axes: Axes, found: Diagnosis, palette: Palette) -> None:
        chosen = typical(found)
        both = np.stack([chosen.model, chosen.truth])
        values = chosen.model if which == "model" else chosen.truth
        edges = [_edges(axis) for axis in (chosen.first, chosen.second)]
        extent = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
        limits: Any = {"vmin": float(both.min()), "vmax": float(both.max())}
        axes.imshow(values, origin="lower", extent=extent, aspect="auto", cmap="Blues_r", **limits)
        row, column = np.unravel_index(values.argmin(), values.shape)
        ring: Any = {"markerfacecolor": "none", "linestyle": "none"}
        best = (chosen.first[column], chosen.second[row])
        axes.plot(*best, marker="o", ms=8, markeredgecolor="#f5a524", markeredgewidth=1.8, label="cheapest", **ring)
        axes.plot(*chosen.planned, marker="x", ms=7, color="#d6336c", mew=1.8, linestyle="none", label="plan")
        axes.set(xlabel=chosen.names[0], ylabel=chosen.names[1])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        _style(axes, palette, grid="")
        legend = axes.legend(loc="upper right", fontsize=7, framealpha=0.85, labelcolor="#1b2330", handletextpad=0.2)
        legend.get_frame().set(facecolor="#ffffff", linewidth=0)

    return draw


def paths(axes: Axes, found: Diagnosis, palette: Palette) -> None:
    """Draw imagined futures decoded by the probe (accent), and the body's true path with the same actions (ink)."""
    seen = found.foresight
    assert seen is not None and seen.imagined is not None and seen.executed is not None
    moved = np.linalg.norm(seen.executed[:, -1] - seen.executed[:, 0], axis=-1)
    chosen = np.argsort(moved)[len(moved) // 2 :: max(1, len(moved) // 2 // PATHS)][:PATHS]  # those with some motion
    if found.scene is not None:
        scene = found.scene
        axes.add_patch(
            Rectangle(scene.low, *np.subtract(scene.high, scene.low), facecolor="none", edgecolor=palette.line)
        )
        for x, y, half_width, half_height in scene.walls:
            corner = (x - half_width, y - half_height)
            axes.add_patch(Rectangle(corner, 2 * half_width, 2 * half_height, color=palette.wall, linewidth=0))
    for index in chosen:
        executed, imagined = seen.executed[index, :, -2:], seen.imagined[index, :, -2:]
        axes.plot(*executed.T, color=palette.ink, linewidth=3.2, alpha=0.3, solid_capstyle="round", zorder=3)
        axes.plot(*imagined.T, color=palette.accent, linewidth=1.2, marker="o", ms=1.8, zorder=4)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()


def panels(found: Diagnosis) -> dict[str, tuple[Panel, str]]:
    """Panels that can be drawn, by title: drawing function and caption."""
    seen = found.foresight
    there: dict[str, tuple[Panel, str]] = {}
    if seen is not None:
        there["Horizon error"] = (horizon, "below the dashed line the model knows more than that nothing changes")
    if found.reach is not None:
        there["Distance against steps"] = (distances, found.reach.source + "; a flat end leads no plan")
    if found.probes:
        caption = "what a linear map reads from the representation; marks: from the sensors"
        if len(found.probes) > PROBES:
            caption += f"; {PROBES} of {len(found.probes)}"
        there["Linear probes"] = (probes, caption)
    if found.slices:
        caption = "what actions cost, as the model imagines them; dark is cheap"
        there["Cost landscape: model"] = (landscape("model"), caption)
        there["Cost landscape: truth"] = (landscape("truth"), "the same actions and costs on the true dynamics")
    if "path_error" in found.values and seen is not None and seen.imagined is not None and seen.imagined.shape[-1] > 1:
        there["Imagined and executed"] = (paths, "blue: imagined and decoded by the probe; grey: what happened")
    return there


def picture(found: Diagnosis) -> Figure:
    """Draw all panels in one figure, three in a row, in the colours for print."""
    there = panels(found)
    rows = -(-len(there) // 3)
    figure = Figure(figsize=(11.4, 3.55 * rows), layout="constrained")
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.12, h_pad=0.12, wspace=0.02, hspace=0.04)
    grid: Any = figure.subplots(rows, 3, squeeze=False)
    for axes in grid.ravel()[len(there) :]:
        axes.set_axis_off()
    for axes, (title, (draw, caption)) in zip(grid.ravel(), there.items(), strict=False):
        draw(axes, found, PRINT)
        axes.set_title(title, fontsize=10, color=PRINT.ink, loc="left", fontweight="bold", pad=28)
        place: Any = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 25), "textcoords": "offset points"}
        axes.annotate(
            textwrap.fill(caption, 58), **place, fontsize=7.5, color=PRINT.muted, va="top", annotation_clip=False
        )
    return figure


def alone(panel: Panel, found: Diagnosis) -> Figure:
    """Draw one panel in the colours of a page."""
    figure = Figure(figsize=(3.4, 2.9), layout="constrained")
    panel(figure.subplots(), found, THEME)
    return figure


def _edges(values: Any) -> Any:
    half = (values[1] - values[0]) / 2
    return np.concatenate([values - half, values[-1:] + half])


def _style(axes: Axes, palette: Palette, grid: str = "y") -> None:
    axes.tick_params(length=0, labelsize=8, labelcolor=palette.muted, pad=3)
    axes.xaxis.label.set(fontsize=8.5, color=palette.muted)
    axes.yaxis.label.set(fontsize=8.5, color=palette.muted)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" and grid == "y")
        spine.set_color(palette.line)
    if grid:
        axes.grid(axis=grid, color=palette.line, linewidth=0.7)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
    if grid == "y":
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _legend(axes: Axes, palette: Palette, place: Literal["best", "upper left"] = "best") -> None:
    axes.legend(fontsize=8, frameon=False, labelcolor=palette.muted, loc=place)
