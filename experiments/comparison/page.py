"""The page of a comparison: tables, curves, and the source of every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..pages.figures import THEME, to_svg
from ..pages.markup import section
from ..pages.report import manifest_section, page
from ..records.curves import Run
from .comparison import PUBLISHED, Comparison
from .figures import AXES, draw
from .published import PublishedScore
from .tables import NONE, TextTable, left_out, tables


def render(
    found: Comparison,
    runs: Sequence[Run],
    published: Sequence[PublishedScore],
    manifest: Mapping[str, Any],
) -> str:
    """The page as a string; names of methods and tasks come from users and are escaped."""
    methods = list(dict.fromkeys(run.method for run in runs))
    summary = f"{', '.join(methods)} on {len(found.tasks)} task{'' if len(found.tasks) == 1 else 's'}."
    sections = [
        *(_table(table) for table in tables(found)),
        _note(left_out(found)),
        *(_curves(runs, published, axis) for axis in AXES),
        _sources(found),
        manifest_section(manifest),
    ]
    return page(f"Compared at {found.at:,} environment steps", "jepa-mpc compare", summary, sections)


def _table(table: TextTable) -> str:
    heads = "".join(
        f'<th role="columnheader" scope="col"{" class=number" if place else ""}>{escape(head)}</th>'
        for place, head in enumerate(table.heads)
    )
    rows = "".join(_row(table.heads, row) for row in table.rows)
    body = (
        f'<table role="table"><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )
    return section(escape(table.title), escape(table.note), body)


def _row(heads: Sequence[str], row: Sequence[str]) -> str:
    cells = "".join(
        f'<td role="cell" class="number" data-label="{escape(head)}">{escape(cell or " ")}</td>'
        for head, cell in zip(heads[1:], row[1:], strict=True)
    )
    return f'<tr role="row"><th role="rowheader" scope="row">{escape(row[0])}</th>{cells}</tr>'


def _note(text: str) -> str:
    return f'<section><p class="note">{escape(text)}</p></section>' if text else ""


def _curves(runs: Sequence[Run], published: Sequence[PublishedScore], axis: str) -> str:
    figure = draw(runs, published, axis, THEME)
    if figure is None:
        return ""
    svg = to_svg(figure, f"Return against {AXES[axis]}, one panel a task.")
    lead = "Solid: measured, several runs as their mean with the lowest and the highest behind it."
    if axis == "env_steps" and published:
        lead += " Grey markers: published, quoted and not measured here."
    panels = f'<figure class="panels" tabindex="0">{svg}</figure>'
    grid = f'<div class="grid" style="grid-template-columns: minmax(0, 1fr)">{panels}</div>'
    return section(f"Return against {AXES[axis]}", lead, grid)


def _sources(found: Comparison) -> str:
    quoted = [score for score in found.scores if score.kind == PUBLISHED]
    sources = {score.method: score.source for score in quoted}
    items = "".join(f"<li>{escape(method)}: {escape(source or NONE)}</li>" for method, source in sources.items())
    lead = "Means over the authors’ seeds, with their action repeats and on their machines."
    return section("Where the published scores come from", lead, f"<ul>{items}</ul>") if items else ""
