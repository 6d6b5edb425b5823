"""Line charts for pages, in the manner of `dots`: they fill the width that there is, and each point has its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .scale import Scale

STYLES = 7  # colours of the style sheet, `--s0` to `--s6`; beyond, they begin anew with another dash
DENSE = 25  # points of a line, from which they show only at the pointer
_DASHES = ("", "6 3", "2 2")
# Shapes of points, apart from one another without colour, around (0, 0).
_SHAPES = (
    '<circle r="3.2"/>',
    '<path d="M-3-3h6v6h-6z"/>',
    '<path d="M0-4L4 3H-4z"/>',
    '<path d="M0-4.2L4.2 0L0 4.2L-4.2 0z"/>',
    '<path d="M0 4L4-3H-4z"/>',
    '<path d="M-4-1.3h2.7v-2.7h2.6v2.7H4v2.6H1.3V4h-2.6V1.3H-4z"/>',
    '<path d="M-3.6-1.6L0-4l3.6 2.4L2.4 3.4h-4.8z"/>',
)


@dataclass(frozen=True)
class Point:
    """A point of a line: place, text at the pointer, and the ends of the band around the line."""

    x: float
    y: float
    text: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """A line. `style` numbers its colour and shape; a `quoted` one is grey and hollow: not measured here."""

    name: str
    points: tuple[Point, ...]
    style: int = 0
    quoted: bool = False
    faint: bool = False  # thin and without points: one of several that another line sums up


def lines(
    title: str,
    drawn: Sequence[Line],
    x: Scale,
    y: Scale,
    x_label: str,
    y_label: str = "",
    note: str = "",
    reference: float | None = None,
) -> str:
    """Draw a chart.

    Args:
      title: of the chart.
      drawn: its lines; later ones cover earlier ones.
      x: horizontal axis.
      y: vertical axis.
      x_label: of the horizontal axis, with its unit.
      y_label: of the vertical axis, for those who cannot see it.
      note: under the title.
      reference: level that is drawn in dashes.
    """
    across, up = x.ticks(4), y.ticks(4)
    grid = "".join(f'<line class="tick" x1="0" x2="100%" y1="{100 - at}%" y2="{100 - at}%"/>' for at, _ in up)
    if reference is not None:
        level = 100 - y.at(reference)
        grid += f'<line class="reference" x1="0" x2="100%" y1="{level}%" y2="{level}%"/>'
    paths = "".join(_path(line, x, y) for line in drawn)
    marks = "".join(_marks(line, x, y) for line in drawn if not line.faint)
    left = "".join(f'<span style="top:{100 - at:g}%">{escape(text)}</span>' for at, text in up)
    below = "".join(f'<span style="left:{at}%">{escape(text)}</span>' for at, text in across)
    name = f"{title}: {y_label or 'values'} against {x_label}"
    caption = f"<figcaption><b>{escape(title)}</b>{escape(note)}</figcaption>" if title or note else ""
    return (
        f'<figure class="plot">{caption}<div class="chart lines" role="group" tabindex="0" aria-label="{escape(name)}">'
        f'<div class="up" aria-hidden="true">{left}</div><svg class="field">{grid}'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">{paths}</svg>'
        f"{marks}</svg>"
        f'<div class="axis" aria-hidden="true">{below}</div><div class="axis-label">{escape(x_label)}</div>'
        "</div></figure>"
    )


def key(names: Mapping[str, tuple[int, bool]]) -> str:
    """Legend of lines: style and whether it is quoted, by name."""
    items = []
    for name, (style, quoted) in names.items():
        line = f'<path class="line {_class(style, quoted)}" d="M0 7h26"{_dash(style, quoted)}/>'
        mark = f'<svg class="{_class(style, quoted)} shape" x="13" y="7" overflow="visible">{_shape(style)}</svg>'
        items.append(
            f'<span class="key"><svg class="long" viewBox="0 0 26 14" aria-hidden="true">{line}{mark}</svg>'
            f"{escape(name)}</span>"
        )
    return f'<p class="legend">{"".join(items)}</p>'


def _path(line: Line, x: Scale, y: Scale) -> str:
    places = [(x.at(point.x), round(100 - y.at(point.y), 2)) for point in line.points]
    kind = _class(line.style, line.quoted)
    band = ""
    if len(places) > 1 and all(point.low is not None and point.high is not None for point in line.points):
        upper = [f"{x.at(point.x)} {100 - y.at(point.high or 0):.2f}" for point in line.points]
        lower = [f"{x.at(point.x)} {100 - y.at(point.low or 0):.2f}" for point in reversed(line.points)]
        band = f'<path class="band {kind}" d="M{"L".join([*upper, *lower])}z"/>'
    route = "L".join(f"{across} {down}" for across, down in places)
    faint = " faint" if line.faint else ""
    return f'{band}<path class="line {kind}{faint}" d="M{route}"{_dash(line.style, line.quoted)}/>'


def _marks(line: Line, x: Scale, y: Scale) -> str:
    kind = _class(line.style, line.quoted) + (" quiet" if len(line.points) > DENSE else "")
    return "".join(
        f'<svg class="mark shape {kind}" x="{x.at(point.x)}%" y="{100 - y.at(point.y):.2f}%" overflow="visible">'
        f'<title>{escape(point.text)}</title>{_shape(line.style)}<circle class="hit" r="9"/></svg>'
        for point in line.points
    )


def _class(style: int, quoted: bool) -> str:
    return "quoted" if quoted else f"s{style % STYLES}"


def _shape(style: int) -> str:
    return _SHAPES[style % len(_SHAPES)]


def _dash(style: int, quoted: bool) -> str:
    dash = "3 3" if quoted else _DASHES[style // STYLES % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""
