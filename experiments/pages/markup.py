"""Pieces of the report page: tables, legends, bars, and numbers as text.

Strings in, strings out. The caller escapes user text; a missing value becomes a dash.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..records.health import Health


def legend(*names: str) -> str:
    """A line that explains the marks of the path figures."""
    marks = {
        "start": '<circle cx="11" cy="7" r="5" fill="none" stroke="var(--ink)" stroke-width="1.5"/>',
        "end": '<circle cx="11" cy="7" r="5" fill="var(--accent)"/>',
        "goal": '<circle cx="11" cy="7" r="5.5" fill="none" stroke="var(--good)" stroke-width="2"/>'
        '<circle cx="11" cy="7" r="1.5" fill="var(--good)"/>',
        "imagined": '<path d="M1 7h20" stroke="var(--accent)" stroke-width="1.5"/>',
        "executed": '<path d="M2 7h18" stroke="var(--ink)" stroke-width="4" opacity=".35" stroke-linecap="round"/>',
    }
    keys = (
        f'<span class="key"><svg viewBox="0 0 22 14" aria-hidden="true">{marks[name]}</svg>{name}</span>'
        for name in names
    )
    return "<br>" + "".join(keys)


def notice(text: str) -> str:
    """A box for what has to be read first; empty without text."""
    return f'<p class="notice" role="note">{escape(text)}</p>' if text else ""


def section(heading: str, lead: str, body: str) -> str:
    """Section with a heading, an optional sentence under it, and the content."""
    lead = f'<p class="lead">{lead}</p>' if lead else ""
    return f"<section><h2>{heading}</h2>{lead}\n{body}</section>"


def grid(items: Iterable[str], kind: str = "") -> str:
    """Figures in columns: four, or three when `kind` is `wide`; fewer on a narrow page."""
    return f'<div class="grid {kind}">{"".join(items)}</div>'


def table(heads: Sequence[str], rows: Sequence[str], caption: str = "", kind: str = "") -> str:
    """A semantic table. The roles stay in the markup because narrow pages lay rows out as cards, which drops them.

    Args:
      heads: of the columns.
      rows: markup of the rows.
      caption: markup under the table.
      kind: `compact` for small text.
    """
    numbers = {"value", "healthy", "episodes", "p50 ms", "p95 ms", "p99 ms"}
    cells = "".join(
        f'<th role="columnheader" scope="col"{" class=number" if head in numbers else ""}>{head}</th>' for head in heads
    )
    caption = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<table role="table"{f" class={kind}" if kind else ""}>{caption}'
        f'<thead role="rowgroup"><tr role="row">{cells}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table>'
    )


def finite(value: Any) -> float | None:
    """Convert to a finite number, or None for missing and non-finite values."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def percent(value: float | None) -> str:
    """Format a fraction as per cent, with at most three digits."""
    return "–" if value is None else f"{100 * value:.3g}\u00a0%"


def interval(row: Mapping[str, Any]) -> str:
    """Format the confidence interval of a row in whole per cent; empty if it has none."""
    low, high = finite(row.get("ci_low")), finite(row.get("ci_high"))
    return "" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}\u00a0%"


def milliseconds(value: float | None, unit: str = "") -> str:
    """Format milliseconds, to a tenth below a hundred."""
    if value is None:
        return "–"
    return (f"{value:.1f}" if value < 100 else f"{value:,.0f}") + (unit and f"\u00a0{unit}")


def duration(seconds: float | None) -> str:
    """Format seconds as minutes and seconds."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.3g} s"


def whole(value: Any) -> str:
    """Format a count with thousands separators."""
    number = finite(value)
    return "–" if number is None else f"{number:,.0f}"


def healthy_range(item: Health) -> str:
    """Format a healthy range as an inequality."""
    if item.low is not None and item.high is not None:
        return f"{item.low:g} to {item.high:g}"
    return f"≥ {item.low:g}" if item.low is not None else f"≤ {item.high:g}" if item.high is not None else "any"
