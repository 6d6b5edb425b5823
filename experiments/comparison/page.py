"""The page of a comparison: what to know first, curves, tables, and the source of every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..pages.frame import findings_section, manifest_section, page
from ..pages.markup import section
from ..pages.provenance import made
from ..records.curves import Run
from ..records.findings import Finding
from .charts import LABELS, charts
from .comparison import PUBLISHED, Comparison
from .published import PublishedScore
from .tables import NONE, TextTable, left_out, tables


@dataclass(frozen=True)
class Content:
    """Content of the page."""

    found: Comparison
    runs: Sequence[Run]
    published: Sequence[PublishedScore]  # drawn beside the runs
    measured: Sequence[Mapping[str, Any]]  # manifests of the learning curves
    warnings: Sequence[str]  # what to know before the numbers are believed


def render(content: Content, manifest: Mapping[str, Any]) -> str:
    """The page as a string; names of methods and tasks come from users and are escaped."""
    found, runs = content.found, content.runs
    methods = list(dict.fromkeys(run.method for run in runs))
    summary = f"{', '.join(methods)} on {len(found.tasks)} task{'' if len(found.tasks) == 1 else 's'}."
    omitted = left_out(found)
    notes = [
        Finding(each.removesuffix("."), serious=False) for each in (*content.warnings, *([omitted] if omitted else []))
    ]
    sections = [
        findings_section(notes),
        *(_curves(runs, content.published, axis) for axis in LABELS),
        *(_table(table) for table in tables(found)),
        _sources(found),
        manifest_section(manifest),
    ]
    title = f"Compared at {found.at:,} environment steps"
    return page(title, "jepa-mpc compare", summary, sections, made(content.measured))


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


def _curves(runs: Sequence[Run], published: Sequence[PublishedScore], axis: str) -> str:
    legend, drawn = charts(runs, published, axis)
    if not drawn:
        return ""
    lead = "In colour: measured, several runs as their mean with the lowest and the highest behind it."
    if axis == "env_steps" and published:
        lead += " Grey: published, quoted and not measured here."
    columns = "one" if len(drawn) == 1 else "three"
    body = f'{legend}<div class="plots {columns}">{"".join(drawn)}</div>'
    return section(f"Return against {LABELS[axis]}", lead, body)


def _sources(found: Comparison) -> str:
    quoted = [score for score in found.scores if score.kind == PUBLISHED]
    sources = {score.method: score.source for score in quoted}
    items = "".join(f"<li>{escape(method)}: {escape(source or NONE)}</li>" for method, source in sources.items())
    lead = "Means over the authors’ seeds, with their action repeats and on their machines."
    return section("Where the published scores come from", lead, f"<ul>{items}</ul>") if items else ""
