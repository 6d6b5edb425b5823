"""The health of a representation on a page: figures with their healthy ranges, and the fix for those outside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..records.findings import Finding
from ..records.health import Health
from .markup import finite, healthy_range, section, table


def health_findings(health: Sequence[Health]) -> list[Finding]:
    """A finding for each figure outside its healthy range."""
    return [
        Finding(
            f"{item.name} is {_value(item)}, and {healthy_range(item)} is healthy"
            + (f"; try: {item.fix}" if item.fix else "")
        )
        for item in health
        if item.bounded and not item.ok
    ]


def _value(item: Health) -> str:
    return f"{item.value:,.4g}" if finite(item.value) is not None else "not finite"


def health_section(health: Sequence[Health]) -> str:
    """Section of figures with their healthy ranges, and the fixes for those outside."""
    body = []
    for item in health:
        verdict = '<span class="ok">✓ healthy</span>' if item.ok else '<span class="bad">! outside</span>'
        verdict = verdict if item.bounded else ""
        value = _value(item)
        fix = f" <b>Try: {escape(item.fix)}.</b>" if item.fix and not item.ok else ""
        body.append(
            f'<tr role="row"><th role="rowheader" scope="row">{escape(item.name)}</th>'
            f'<td role="cell" class="number" data-label="value">{value}</td>'
            f'<td role="cell" class="number" data-label="healthy">{healthy_range(item)}</td>'
            f'<td role="cell" class="verdict">{verdict}</td>'
            f'<td role="cell" class="meaning"><small>{escape(item.meaning)}{fix}</small></td></tr>'
        )
    ranged = [item for item in health if item.bounded]
    outside, judged = sum(not item.ok for item in ranged), len(ranged)
    lead = f"{outside} of {judged} outside the healthy range." if outside else "All are in their healthy range."
    heads = ["figure", "value", "healthy", "", "what it tells"]
    return section("Is the representation healthy?", lead, table(heads, body)) if health else ""
