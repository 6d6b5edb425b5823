"""Dot-and-whisker charts for pages: one line per row, with its name, a dot, its interval, and the value as text.

The drawing is placed in per cent of its width, so that it fills a desktop and a phone without scaling its text. Each
dot has its values as a title, which `hover.js` shows at the pointer, at a tap, and for the keyboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .scale import Scale


@dataclass(frozen=True)
class Dot:
    """One row of the chart. Texts are plain; they are escaped here."""

    name: str
    value: float
    shown: str  # the value as text, beside the chart
    text: str  # at the pointer
    low: float | None = None  # ends of the whisker
    high: float | None = None
    parts: tuple[tuple[float, str], ...] = ()  # smaller marks, as of single seeds: value and text
    limit: float | None = None  # largest value that was promised
    detail: str = ""  # under the name
    kind: str = ""  # `own` for the row that the chart is about, `bad` for a broken limit


def dots(title: str, rows: Sequence[Dot], scale: Scale, label: str, note: str = "") -> str:
    """Draw a chart.

    Args:
      title: of the chart; empty: none.
      rows: from top to bottom.
      scale: of the values.
      label: of the axis, with its unit.
      note: under the title.
    """
    ticks = scale.ticks()
    lines = "".join(f'<line class="tick" x1="{place}%" x2="{place}%" y1="0" y2="100%"/>' for place, _ in ticks)
    body = "".join(_line(row, scale, lines) for row in rows)
    labels = "".join(f'<span style="left:{place}%">{escape(text)}</span>' for place, text in ticks)
    axis = f'<div class="axis" aria-hidden="true">{labels}</div><div class="axis-label">{escape(label)}</div>'
    name = ". ".join(part for part in (title, label) if part)
    return (
        f'<figure class="plot">{_caption(title, note)}<div class="chart dots" role="group" tabindex="0" '
        f'aria-label="{escape(name)}">{body}{axis}</div></figure>'
    )


def _caption(title: str, note: str) -> str:
    if not title and not note:
        return ""
    heading = f"<b>{escape(title)}</b>" if title else ""
    return f"<figcaption>{heading}{escape(note)}</figcaption>"


def _line(row: Dot, scale: Scale, ticks: str) -> str:
    marks = "".join(
        f'<g class="mark part"><title>{escape(text)}</title><circle cx="{scale.at(value)}%" cy="50%" r="3"/>'
        f'<circle class="hit" cx="{scale.at(value)}%" cy="50%" r="7"/></g>'
        for value, text in row.parts
    )
    if row.low is not None and row.high is not None:
        low, high = scale.at(row.low), scale.at(row.high)
        ends = "".join(f'<line class="whisker" x1="{at}%" x2="{at}%" y1="30%" y2="70%"/>' for at in (low, high))
        whisker = f'<line class="whisker" x1="{low}%" x2="{high}%" y1="50%" y2="50%"/>{ends}'
    else:
        whisker = ""
    limit = ""
    if row.limit is not None:
        at = scale.at(row.limit)
        limit = f'<line class="limit" x1="{at}%" x2="{at}%" y1="10%" y2="90%"/>'
    at = scale.at(row.value)
    dot = (
        f'<g class="mark"><title>{escape(row.text)}</title><circle class="dot" cx="{at}%" cy="50%" r="5"/>'
        f'<circle class="hit" cx="{at}%" cy="50%" r="11"/></g>'
    )
    detail = f"<small>{escape(row.detail)}</small>" if row.detail else ""
    kind = f" {row.kind}" if row.kind else ""
    return (
        f'<div class="lane{kind}"><span class="name">{escape(row.name)}{detail}</span>'
        f'<span class="box"><svg class="field">{ticks}{limit}{whisker}{marks}{dot}</svg></span>'
        f'<span class="amount">{escape(row.shown)}</span></div>'
    )
