"""Figures of a run, drawn with matplotlib's object interface: no window, no global figure.

Two palettes: `THEME` draws in marker colours that `to_svg` turns into CSS variables, so that a figure inside a page
follows light and dark mode; `PRINT` has separate colours, for PNG files.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from envs.task import Scene

from ..records.episodes import EpisodeRecord


@dataclass(frozen=True)
class Palette:
    """Colours of a figure, named as the page's CSS variables."""

    ink: str
    muted: str
    line: str
    wall: str
    accent: str
    good: str


THEME = Palette("#fe0101", "#fe0102", "#fe0103", "#fe0104", "#fe0105", "#fe0106")
PRINT = Palette("#1b2330", "#5b6675", "#dfe3e9", "#8a94a3", "#2457d6", "#15803d")

# Distinct in print and to colour-blind eyes (Okabe & Ito, 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

FADES = 24  # segments of a path, from faint to full: looks continuous, and keeps the file small
CELLS = 56  # histogram cells along the longer side of a scene


@dataclass(frozen=True)
class Hover:
    """A place in axes, in data units, and its text at the pointer; with `size` a rectangle around it, else a spot."""

    axes: Axes
    x: float
    y: float
    text: str
    size: tuple[float, float] | None = None


def to_svg(figure: Figure, label: str, hover: Sequence[Hover] = ()) -> str:
    """Convert the figure to inline SVG for a page.

    It is transparent, sized by CSS and in the page's font and colours; labels that differ keep the ids inside apart.
    Places to hover over become marks for the page's script.

    Args:
      figure: drawn with the palette `THEME`.
      label: text alternative.
      hover: places with values.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>|<defs>\s*</defs>", "", svg, flags=re.S)
    svg = re.sub(r' font-family: [^;"]*;|(?<=<g) id="[^"]*"', "", svg)
    for field in fields(Palette):
        svg = svg.replace(getattr(THEME, field.name), f"var(--{field.name})")
    opening = re.search(r'<svg.*?(viewBox="[^"]*").*?>', svg, flags=re.S)
    if opening is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox; the report needs one to size its figures")
    body = re.sub(r"\s*\n\s*", "\n", svg[opening.end() :]).strip()
    role = 'class="chart" role="group" tabindex="0"' if hover else 'role="img"'
    marks = "".join(_mark(figure, each) for each in hover)
    return f'<svg {opening[1]} {role} aria-label="{escape(label)}">{body.removesuffix("</svg>")}{marks}</svg>'


def _mark(figure: Figure, hover: Hover) -> str:
    """An invisible mark with its text, in points from the upper left corner, as the SVG counts."""
    scale = 72 / figure.dpi

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = hover.axes.transData.transform((x, y))
        return scale * across, 72 * figure.get_figheight() - scale * up

    if hover.size is None:
        across, down = place(hover.x, hover.y)
        shape = f'<circle class="spot" cx="{across:.1f}" cy="{down:.1f}" r="4"/>'
        shape += f'<circle class="hit" cx="{across:.1f}" cy="{down:.1f}" r="8"/>'
    else:
        width, height = hover.size
        ends = [place(hover.x + sign * width / 2, hover.y + sign * height / 2) for sign in (-1, 1)]
        (left, right), (top, bottom) = (sorted(each) for each in zip(*ends, strict=True))  # an axis may run backwards
        corner = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
        shape = f'<rect class="spot" {corner}/><rect class="hit" {corner}/>'
    return f'<g class="mark"><title>{escape(hover.text)}</title>{shape}</g>'


def to_png(figure: Figure, dpi: int = 160) -> bytes:
    """Convert the figure to a PNG on white; draw it with the `PRINT` palette."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def histories(history: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Learning curves by name, in order of first appearance: the steps with finite values."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for entry in history:
        for name, value in entry.items():
            if name == "step" or value is None or not np.isscalar(value) or isinstance(value, str):
                continue
            if math.isfinite(float(value)):  # type: ignore[arg-type]  # np.isscalar is no type guard
                steps, values = curves.setdefault(name, ([], []))
                steps.append(float(entry["step"]))
                values.append(float(value))  # type: ignore[arg-type]
    return curves


def executed(scene: Scene, episode: EpisodeRecord, palette: Palette = THEME) -> Figure:
    """Draw start, goal and executed path of one episode; also a few postures along the path, where it has links."""
    figure, axes = _plan_view(scene, palette)
    _goal(axes, scene, episode, palette)
    assert episode.keypoints is not None
    for step in np.linspace(0, episode.steps, 4).astype(int):
        _links(axes, scene, episode.keypoints[step], palette.ink, alpha=0.15 + 0.6 * step / max(episode.steps, 1))
    _fading(axes, episode.path, palette.accent)
    _ends(axes, scene, episode, palette)
    return figure


def towards(episode: EpisodeRecord, control_period: float, palette: Palette = THEME) -> Figure:
    """Draw the achieved goal over time (accent) and the goal (good), for tasks without a view from above.

    One panel for each number of the goal, three at most.
    """
    assert episode.achieved is not None
    seconds, shown = control_period * np.arange(episode.steps + 1), min(3, len(episode.goal))
    figure = Figure(figsize=(2.6, 0.6 + 1.4 * shown), layout="constrained")
    for index, axes in enumerate(figure.subplots(shown, 1, sharex=True, squeeze=False)[:, 0]):
        axes.plot(seconds, episode.achieved[:, index], color=palette.accent, linewidth=1.6)
        axes.axhline(float(episode.goal[index]), color=palette.good, linewidth=1.4, linestyle=(0, (3, 2)))
        _bare(axes, palette)
    axes.set_xlabel("s", fontsize=8, color=palette.muted)
    return figure


def imagined(scene: Scene, episode: EpisodeRecord, palette: Palette = THEME) -> Figure:
    """Draw the model's imagined plans (accent) and the executed path (ink)."""
    figure, axes = _plan_view(scene, palette)
    _goal(axes, scene, episode, palette)
    axes.plot(*episode.path.T, color=palette.ink, linewidth=2.4, alpha=0.35, solid_capstyle="round", zorder=2)
    for _, path in episode.imagined:
        axes.plot(*path.T, color=palette.accent, linewidth=0.9, alpha=0.8, solid_capstyle="round", zorder=3)
        axes.plot(*path[-1], "o", color=palette.accent, markersize=2, markeredgewidth=0, zorder=3)
    _ends(axes, scene, episode, palette)
    return figure


def coverage(scene: Scene, positions: Float[ndarray, "M 2"], palette: Palette = THEME) -> Figure:
    """Draw the coverage of the training data: visits to each cell of the plane, darker for more, on a log scale."""
    figure, axes = _plan_view(scene, palette)
    (left, bottom), (right, top) = scene.low, scene.high
    cell = max(right - left, top - bottom) / CELLS
    bins = [max(1, round((right - left) / cell)), max(1, round((top - bottom) / cell))]
    x, y = np.asarray(positions, np.float64).T
    counts, _, _ = np.histogram2d(x, y, bins=bins, range=[[left, right], [bottom, top]])
    image = np.empty((*counts.T.shape, 4), np.float32)
    image[..., :3] = to_rgb(PRINT.accent)  # pixels cannot follow a style sheet: a blue that reads on light and dark
    image[..., 3] = np.log1p(counts.T) / max(1.0, float(np.log1p(counts.max())))
    axes.imshow(image, extent=(left, right, bottom, top), origin="lower", interpolation="none", zorder=1)
    axes.set(xlim=_limits(scene)[0], ylim=_limits(scene)[1])
    return figure


def coverage_alone(title: str, scene: Scene, positions: Float[ndarray, "M 2"]) -> Figure:
    """Draw the coverage with a title and axes in metres, for a file next to the data."""
    figure = coverage(scene, positions, PRINT)
    (axes,) = figure.axes
    width, height = figure.get_size_inches()
    left, right, bottom, top = 0.62, 0.15, 0.5, 0.72  # inches for title and labels
    total = (left + width + right, bottom + height + top)
    figure.set_size_inches(*total)
    axes.set_position((left / total[0], bottom / total[1], width / total[0], height / total[1]))
    axes.set_axis_on()
    axes.set(xlabel="x, m", ylabel="y, m")
    axes.tick_params(length=0, labelsize=8, labelcolor=PRINT.muted)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=8.5, color=PRINT.muted)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.text(left / total[0], 1 - 0.2 / total[1], title, fontsize=10, fontweight="bold", color=PRINT.ink, va="top")
    seen = np.all((positions >= scene.low) & (positions <= scene.high), axis=1)
    caption = f"{len(positions):,} positions, seen from above"
    if not seen.all():
        caption += f"; {np.mean(~seen):.1%} outside"
    figure.text(left / total[0], 1 - 0.44 / total[1], caption, fontsize=7.5, color=PRINT.muted, va="top")
    return figure


def _bare(axes: Axes, palette: Palette) -> None:
    """Style axes with small labels and no frame."""
    axes.tick_params(length=0, labelsize=7, labelcolor=palette.muted)
    axes.grid(axis="y", color=palette.line, linewidth=0.7)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    for spine in axes.spines.values():
        spine.set_visible(False)


def _limits(scene: Scene) -> tuple[tuple[float, float], tuple[float, float]]:
    margin = 0.025 * max(np.subtract(scene.high, scene.low))
    return (scene.low[0] - margin, scene.high[0] + margin), (scene.low[1] - margin, scene.high[1] + margin)


def _plan_view(scene: Scene, palette: Palette) -> tuple[Figure, Axes]:
    """Prepare an empty scene from above: equal scale on both axes, and the axes fill the figure."""
    (left, right), (bottom, top) = _limits(scene)
    inches = 2.6 / max(right - left, top - bottom)
    figure = Figure(figsize=((right - left) * inches, (top - bottom) * inches))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    size = np.subtract(scene.high, scene.low)
    axes.add_patch(Rectangle(scene.low, *size, facecolor="none", edgecolor=palette.line, linewidth=1, zorder=0))
    for x, y, half_width, half_height in scene.walls:
        corner = (x - half_width, y - half_height)
        axes.add_patch(Rectangle(corner, 2 * half_width, 2 * half_height, color=palette.wall, linewidth=0, zorder=2))
    return figure, axes


def _dot(scene: Scene) -> float:
    """Radius in metres for drawing points: the body's own, limited to visible sizes."""
    side = float(max(np.subtract(scene.high, scene.low)))
    return min(max(scene.radius, 0.018 * side), 0.05 * side)


def _links(axes: Axes, scene: Scene, points: ndarray, colour: str, alpha: float, style: Any = "-") -> None:
    bars = scene.bars(points)
    if len(bars):
        gaps = np.full((len(bars), 1, 2), np.nan)
        line = np.concatenate([bars, gaps], axis=1).reshape(-1, 2)
        axes.plot(*line.T, color=colour, linewidth=2.2, alpha=alpha, linestyle=style, solid_capstyle="round", zorder=2)


def _goal(axes: Axes, scene: Scene, episode: EpisodeRecord, palette: Palette) -> None:
    """Draw the goal as a ring around a point; the links of the goal posture in dashes."""
    assert episode.goal_keypoints is not None
    _links(axes, scene, episode.goal_keypoints, palette.good, alpha=0.8, style=(0, (2, 1.5)))
    centre, radius = episode.goal_keypoints[-1], 1.6 * _dot(scene)
    axes.add_patch(Circle(centre, radius, facecolor="none", edgecolor=palette.good, linewidth=1.8, zorder=5))
    axes.add_patch(Circle(centre, 0.25 * radius, color=palette.good, linewidth=0, zorder=5))


def _ends(axes: Axes, scene: Scene, episode: EpisodeRecord, palette: Palette) -> None:
    """Draw an open circle at the body's start and a full one at its end."""
    first, last = episode.path[0], episode.path[-1]
    axes.add_patch(Circle(first, _dot(scene), facecolor="none", edgecolor=palette.ink, linewidth=1.4, zorder=4))
    axes.add_patch(Circle(last, 0.8 * _dot(scene), color=palette.accent, linewidth=0, zorder=6))


def _fading(axes: Axes, path: Float[ndarray, "T 2"], colour: str) -> None:
    """Draw a path from faint to full colour, to show its direction."""
    if len(path) < 2:
        return
    cuts = np.unique(np.linspace(0, len(path) - 1, FADES + 1).astype(int))
    pieces = [path[start : end + 1] for start, end in zip(cuts[:-1], cuts[1:], strict=True)]
    lines = LineCollection(pieces, colors=colour, linewidths=2.0, capstyle="butt", zorder=3)
    lines.set_alpha(np.linspace(0.3, 1.0, len(pieces)).tolist())
    axes.add_collection(lines)
