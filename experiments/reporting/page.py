"""The page of a report: what is wrong, then for each table pictures and rows, what to do next, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..comparison import published as published_scores
from ..comparison.far import far, sentences
from ..pages.frame import command_block, findings_section, next_section, page
from ..pages.provenance import commit, machine, made
from ..records import curves as records_curves
from ..records.curves import CurveRow
from ..records.findings import Finding, of_goals
from . import curves, measures, values
from .measures import Charts
from .next_steps import SEEDS, WIDE, Step, look_into, steps
from .pooling import Setting, pooled
from .tables import COMMAND, Table, text

RACE = 100_000  # environment steps at which published scores are compared


def render(tables: Sequence[Table], source: str, where: Mapping[str, Any], command: str) -> str:
    """The page as a string; everything in it that comes from a table is escaped.

    Args:
      tables: whose rows are shown.
      source: where they come from, a sentence.
      where: the selection, by column.
      command: that makes this page again.
    """
    settings = [pooled(table) for table in tables]
    problems = findings(tables, settings, not where)
    manifests = [each for table in tables for each in table.made()]
    suggested = [step for pair in zip(tables, settings, strict=True) for step in steps(*pair)]
    suggested += look_into([each for own in settings for each in own])
    names = [table.name for table in tables]
    title = names[0] if len(names) == 1 else f"{len(names)} tables of measured rows"
    count = sum(len(table.rows) for table in tables)
    summary = f"{count:,} row{'' if count == 1 else 's'}; {source}"
    if where:
        summary += "; only " + ", ".join(f"{key}={_value(value)}" for key, value in where.items())
    sections = [
        findings_section(problems, _clean(tables)),
        _contents(names),
        *(_table(number, *pair) for number, pair in enumerate(zip(tables, settings, strict=True), 1)),
        _next(problems, suggested, tables),
        _again(tables, command),
    ]
    return page(title, "jepa-mpc report", f"{summary}.", sections, made(manifests))


def findings(tables: Sequence[Table], settings: Sequence[Sequence[Setting]], whole: bool) -> list[Finding]:
    """What is wrong with tables: failures first.

    Args:
      tables: to judge.
      settings: the rows of each, pooled.
      whole: whether they have all their rows; of a selection nothing is missing.
    """
    goals = [(table, own) for table, own in zip(tables, settings, strict=True) if is_goals(table)]
    found = []
    for table, own in zip(tables, settings, strict=True):
        others = [each.values for other, pooled_rows in goals if other is not table for each in pooled_rows]
        found += _of_table(table, own, whole, others)
    return sorted([*found, *_of_all(tables)], key=lambda each: not each.serious)


def _of_table(
    table: Table, settings: Sequence[Setting], whole: bool, beside: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    found = values.findings(table, whole)
    if is_goals(table):
        goals = of_goals([each.values for each in settings], table.name, beside)
        found += [each for each in goals if whole or not each.missing]
    return [*found, *_learning(table)]


def is_goals(table: Table) -> bool:
    """Whether the rows are of goal tasks, with their policies."""
    return {"task", "policy", "episodes", "successes", "planner", "protocol"} <= set(table.columns)


def _of_all(tables: Sequence[Table]) -> list[Finding]:
    """What is to be known of the manifests of all tables."""
    found = []
    without = [f"{table.name} ({count})" for table in tables if (count := sum(m is None for m in table.manifests))]
    if without:
        text = f"rows without a manifest, so that commit, machine and settings are not known: {', '.join(without)}"
        found.append(Finding(text, serious=False))
    changed = [
        f"{table.name} ({len(dirty)} of {len(table.made())})"
        for table in tables
        if (dirty := [m for m in table.made() if isinstance(m.get("git"), Mapping) and m["git"].get("dirty")])
    ]
    if changed:
        text = f"runs with uncommitted changes, which no commit makes again exactly: {', '.join(changed)}"
        found.append(Finding(text, serious=False))
    return found


def _learning(table: Table) -> list[Finding]:
    if not {"method", "task", "env_steps", "return", "gradient_steps"} <= set(table.columns):
        return []
    rows = [CurveRow(**{("mean_return" if k == "return" else k): v for k, v in row.items()}) for row in table.rows]
    found = far(records_curves.runs_of(rows), published_scores.read(), RACE)
    return [Finding(each, "", serious=False, place=table.name) for each in sentences(found)]


def _clean(tables: Sequence[Table]) -> str:
    judged = any(table.values or "policy" in table.columns for table in tables)
    return "No promise is broken, and no success rate is out of line with its references." if judged else ""


def _contents(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    links = "".join(f'<a href="#table-{number}">{escape(name)}</a>' for number, name in enumerate(names, 1))
    return f'<nav class="contents" aria-label="Tables">{links}</nav>'


def _table(number: int, table: Table, settings: Sequence[Setting]) -> str:
    drawn = _charts(table, settings)
    parts = []
    for each in drawn:
        lead = f'<p class="lead">{escape(each.lead)}</p>' if each.lead else ""
        columns = "one" if len(each.drawn) == 1 else each.columns
        plots = f'<div class="plots {columns}">{"".join(each.drawn)}</div>'
        parts.append(f"<h3>{escape(each.heading)}</h3>{lead}{each.legend}{plots}")
    line = made(table.made())
    return f'<section id="table-{number}"><h2>{escape(table.name)}</h2>{line}{"".join(parts)}{_rows(table)}</section>'


def _charts(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    if table.values:
        return values.values(table, settings)
    if learned := curves.learning(table, settings):
        return learned
    if curves.is_swept(table) and (over := curves.swept(table, settings)):
        return over
    views = (measures.success, measures.others, measures.latency)
    return [each for view in views for each in view(table, settings)]


def _rows(table: Table) -> str:
    """All rows as they are in the file, collapsed; empty columns and the commands are left out."""
    shown = [
        name for name in table.columns if name != COMMAND and any(row[name] not in (None, "") for row in table.rows)
    ]
    numeric = {name for name in shown if all(isinstance(row[name], int | float | None) for row in table.rows)}
    heads = "".join(
        f'<th scope="col"{" class=number" if name in numeric else ""}>{escape(name)}</th>' for name in shown
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=number' if name in numeric else ''}>{escape(text(row[name]))}</td>" for name in shown)
        + "</tr>"
        for row in table.rows
    )
    count = len(table.rows)
    return (
        f"<details><summary>{count:,} row{'' if count == 1 else 's'} as measured</summary>"
        f'<div class="rows" tabindex="0"><table class="plain"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _next(problems: Sequence[Finding], suggested: Sequence[Step], tables: Sequence[Table]) -> str:
    found: list[Step] = []
    broken = [each for each in problems if each.serious and each.command]
    for command in dict.fromkeys(each.command for each in broken):
        count = sum(each.command == command for each in broken)
        found.append((f"{count} failure{'' if count == 1 else 's'} above: after the fix, or to see more", command))
    found += [step for step in dict.fromkeys(suggested) if step[1] not in {command for _, command in found}]
    if not found:
        return ""
    note = (
        f"A setting is known once it has {SEEDS} seeds of training and an interval of {100 * WIDE:.0f} points or less."
    )
    return next_section(found, note=note if any("seed" in reason for reason, _ in suggested) else "")


def _again(tables: Sequence[Table], command: str) -> str:
    parts = []
    for table in tables:
        runs: dict[str, list[Mapping[str, Any]]] = {}
        counts: Counter[str] = Counter()
        for row, manifest in zip(table.rows, table.manifests, strict=True):
            line = str(row.get(COMMAND) or (manifest or {}).get(COMMAND) or "")
            counts[line] += 1
            runs.setdefault(line, []).extend([manifest] if manifest else [])
        items = "".join(_run(line, found, counts[line]) for line, found in runs.items() if line)
        if items:
            several = len(runs)
            summary = f"{table.name}: {several} command{'' if several == 1 else 's'}"
            parts.append(f"<details><summary>{escape(summary)}</summary>{items}</details>")
    page_again = f"<p>This page:</p>{command_block(command)}"
    lead = '<p class="lead">The commands of the rows, with the commit and the machine of each.</p>'
    return f"<section><h2>How to make this again</h2>{page_again}{lead if parts else ''}{''.join(parts)}</section>"


def _run(command: str, manifests: Sequence[Mapping[str, Any]], count: int) -> str:
    days = sorted({str(each.get("time", ""))[:10] for each in manifests})
    commits = list(dict.fromkeys(filter(None, map(commit, manifests))))
    machines = list(dict.fromkeys(filter(None, map(machine, manifests))))
    words = [f"{count:,} row{'' if count == 1 else 's'}", " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))]
    words += [f"commit {', '.join(commits)}" if commits else "", "; ".join(machines)]
    return f'<p class="made">{escape(" · ".join(filter(None, words)))}</p>{command_block(command)}'


def _value(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
