"""Rows that differ only in their seed as one setting, and the names of settings: what identifies them and differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from ..records.intervals import wilson
from .tables import COMMAND, SEEDS, Cells, Table, text

FACETS = ("task", "observation", "protocol", "condition")  # columns that have a chart for each value
MOST_LANES = 14  # in a chart, before another column splits it
# Policies from top to bottom: the model, what it is compared with, and what bounds it.
ORDER = ("model", "planner", "policy", "reflex", "oracle", "ceiling")
LAST = ("random", "noop")
USUAL = {"observation": "state", "protocol": "honest"}
DEFAULT = "default recipe"
OWN = ("model", "planner")  # policies that a page is about


@dataclass(frozen=True)
class Setting:
    """Rows of one setting, pooled: counts are summed, latency is that of the slowest seed, other numbers are means."""

    values: Mapping[str, Any]
    rows: tuple[Cells, ...]  # of the single seeds

    @property
    def seeds(self) -> list[int]:
        """The seeds in order."""
        return sorted({row[name] for row in self.rows for name in SEEDS if isinstance(row.get(name), int)})

    @property
    def own(self) -> bool:
        """Whether the report is about this row, rather than it being there to compare with."""
        return self.values.get("policy") in OWN and not self.values.get("variant")


def pooled(table: Table) -> list[Setting]:
    """The settings of a table in order of first appearance, those of a policy where a reader looks for them."""
    names = [name for name in table.identity if name not in SEEDS]
    # Within one identity some suites have several rows, as for several budgets.
    names += [name for name in ("budget", "goal_offset") if name in table.columns and name not in names]
    groups: dict[tuple[Any, ...], list[Cells]] = {}
    for row in table.rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    found = [Setting(_pool(table, names, rows), tuple(rows)) for rows in groups.values()]
    return sorted(found, key=_place)


def _place(setting: Setting) -> tuple[int, int, bool]:
    policy, variant = setting.values.get("policy"), bool(setting.values.get("variant"))
    if policy in LAST:
        return 2, LAST.index(policy), variant
    return (0, ORDER.index(policy), variant) if policy in ORDER else (1, 0, variant)


def _pool(table: Table, names: Sequence[str], rows: Sequence[Cells]) -> dict[str, Any]:
    values: dict[str, Any] = {name: rows[0][name] for name in names}
    for column in table.columns:
        if column in values or column in SEEDS or column == COMMAND:
            continue
        cells = [row[column] for row in rows if row[column] is not None]
        numbers = [cell for cell in cells if isinstance(cell, int | float)]
        if not cells or len(numbers) < len(cells):
            values[column] = cells[0] if len(set(cells)) == 1 else None
        elif column in ("episodes", "successes"):
            values[column] = sum(numbers)
        elif column.startswith("plan_ms_"):
            values[column] = max(numbers)
        else:
            values[column] = numbers[0] if len(set(numbers)) == 1 else mean(numbers)
    if values.get("episodes") and values.get("successes") is not None:
        if 0 <= values["successes"] <= values["episodes"]:
            low, high = wilson(int(values["successes"]), int(values["episodes"]))
            rate = values["successes"] / values["episodes"]
            values |= {"success_rate": rate, "ci_low": low, "ci_high": high}
    elif len(rows) > 1:  # the interval of one seed is not that of several
        values |= {name: None for name in values if name in ("ci_low", "ci_high") or name.endswith(("_low", "_high"))}
    return values


def charts(settings: Sequence[Setting], names: Sequence[str]) -> dict[str, dict[str, Setting]]:
    """Settings by chart and by name in it; both from the identifying columns that differ.

    Args:
      settings: to name.
      names: columns that identify them.
    """
    varying = [name for name in names if _differs(settings, name)]
    facets = [name for name in FACETS if name in varying]
    labels = [name for name in varying if name not in facets]
    most = max(len(group) for group in _split(settings, facets).values())
    if most > MOST_LANES and len(labels) > 1:
        fewest = min(labels, key=lambda name: len({text(each.values.get(name)) for each in settings}))
        facets, labels = [*facets, fewest], [name for name in labels if name != fewest]
    found: dict[str, dict[str, Setting]] = {}
    for title, group in _split(settings, facets).items():
        lanes = found.setdefault(title or _common(settings, names), {})
        for each in group:
            name = _words(each, labels) or _words(each, ("policy", "planner", "part")) or "value"
            if each.values.get("variant") == "" and any(other.values["variant"] for other in group):
                name = DEFAULT if each.values.get("policy") in OWN else name
            lanes[name if name not in lanes else f"{name}, {len(lanes) + 1}"] = each
    return found


def _differs(settings: Sequence[Setting], name: str) -> bool:
    """Whether a column tells settings apart; what only some of them have does so for variants alone."""
    values = {text(each.values.get(name)) for each in settings}
    return len(values) > 1 if name in ("variant", "settings") else len(values - {""}) > 1


def _split(settings: Sequence[Setting], by: Sequence[str]) -> dict[str, list[Setting]]:
    groups: dict[str, list[Setting]] = {}
    for each in settings:
        groups.setdefault(_words(each, by), []).append(each)
    return groups


def _words(setting: Setting, names: Sequence[str]) -> str:
    """The values of some columns, without what is usual; a number with the name of its column."""
    usual = {name: USUAL.get(name) for name in names} if len(names) > 1 else {}
    parts = []
    for name in names:
        value = setting.values.get(name)
        if value not in (None, "", usual.get(name)):
            parts.append(str(value) if isinstance(value, str) else f"{name.replace('_', ' ')} {text(value)}")
    return ", ".join(parts)


def _common(settings: Sequence[Setting], names: Sequence[str]) -> str:
    return _words(settings[0], [name for name in FACETS if name in names])
