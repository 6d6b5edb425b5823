"""Line charts of a table: learning curves, and measurements over a setting that was swept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..comparison.charts import LABELS, charts
from ..pages.lines import Line, Point, key, lines
from ..pages.scale import Scale, number
from ..records import curves
from ..records.curves import CurveRow
from .measures import Charts
from .pooling import Setting
from .tables import SEEDS, Table, text

FEWEST = 3  # values of a setting that was swept
_LEARNING = {"method", "task", "env_steps", "return"}
_LINES = ("planner", "method")  # columns that have a line for each value


@dataclass(frozen=True)
class _Over:
    """What is drawn over a setting: its column, the columns of its band, and a factor."""

    column: str
    label: str
    low: str
    high: str
    factor: float
    lead: str


_MEASURES = (
    _Over("success_rate", "Success, %", "ci_low", "ci_high", 100.0, "Band: 95 % interval."),
    _Over("p50_ms", "Time of a plan, ms", "p50_ms", "p99_ms", 1.0, "Line: the median; band: to the 99th percentile."),
)


def learning(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    """Learning curves against environment steps and seconds, a chart for each task."""
    if not set(table.columns) >= _LEARNING:
        return []
    rows = [CurveRow(**{("mean_return" if k == "return" else k): v for k, v in row.items()}) for row in table.rows]
    runs = curves.runs_of(rows)
    found = []
    for axis in ("env_steps", "wall_s"):
        legend, drawn = charts(runs, (), axis)
        if drawn:
            lead = "Several seeds as their mean, with the lowest and the highest behind it."
            found.append(Charts(f"Return against {LABELS[axis]}", lead, tuple(drawn), "three", legend))
    return found


def is_swept(table: Table) -> bool:
    """Whether the rows are points over the values of a setting."""
    return bool(_swept(table))


def swept(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    """A chart for each setting that was swept and each task; the other settings are at their most frequent value."""
    usual = {name: _usual(settings, name) for name in _swept(table)}
    titles = [n for n in table.identity if n not in (*SEEDS, *usual, *_LINES) and len({r[n] for r in table.rows}) > 1]
    found = []
    for measure in _MEASURES:
        if measure.column not in table.columns:
            continue
        known = [each for each in _longest(settings) if each.values.get(measure.column) is not None]
        styles: dict[str, int] = {}
        drawn = []
        for setting in usual:
            fixed = {name: value for name, value in usual.items() if name != setting}
            kept = [each for each in known if all(each.values[name] == value for name, value in fixed.items())]
            for title, group in _by(kept, titles):
                drawn += _chart(title, group, setting, measure, styles)
        if drawn:
            legend = key({name: (style, False) for name, style in styles.items()})
            lead = " ".join(filter(None, (measure.lead, _lead(usual))))
            found.append(Charts(measure.label, lead, tuple(drawn), "three", legend))
    return found


def _chart(title: str, group: Sequence[Setting], setting: str, measure: _Over, styles: dict[str, int]) -> list[str]:
    values = sorted({each.values[setting] for each in group})
    if len(values) < FEWEST:
        return []
    made = []
    for name, own in _by(group, _LINES):
        points = tuple(
            Point(
                float(each.values[setting]),
                measure.factor * each.values[measure.column],
                _text(name, each, setting, measure),
                _scaled(each.values.get(measure.low), measure.factor),
                _scaled(each.values.get(measure.high), measure.factor),
            )
            for each in sorted(own, key=lambda each: each.values[setting])
        )
        made.append(Line(name or measure.label, points, styles.setdefault(name or measure.label, len(styles))))
    across = Scale.of(values, log=values[0] > 0 and values[-1] >= 8 * values[0])
    ends = [value for line in made for p in line.points for value in (p.y, p.low, p.high) if value is not None]
    if measure.column == "success_rate":
        up = Scale(min(90.0, 10.0 * (min(ends) // 10)), 100.0)
    else:
        up = Scale.of(ends, log=min(ends) > 0)
    words = setting.replace("_", " ")
    return [lines(title or f"Over {words}", made, across, up, words, measure.label)]


def _text(name: str, each: Setting, setting: str, measure: _Over) -> str:
    shown = [name, f"{setting.replace('_', ' ')} {text(each.values[setting])}"]
    value = number(measure.factor * each.values[measure.column])
    shown.append(f"{measure.label.partition(',')[0].lower()} {value}{measure.label.partition(',')[2]}")
    for extra in ("episodes", "evaluations", "p95_ms", "p99_ms", "plan_ms_p50"):
        if each.values.get(extra) is not None:
            shown.append(f"{extra.replace('_', ' ')} {text(each.values[extra])}")
    return "\n".join(filter(None, shown))


def _swept(table: Table) -> list[str]:
    """Identifying columns with several numbers, seeds left out."""
    found = []
    for name in table.identity:
        values = {row[name] for row in table.rows}
        numbers = all(isinstance(value, int | float) for value in values)
        if name not in (*SEEDS, "env_steps") and numbers and len(values) >= FEWEST:
            found.append(name)
    return found


def _usual(settings: Sequence[Setting], name: str) -> Any:
    return Counter(each.values[name] for each in settings).most_common(1)[0][0]


def _longest(settings: Sequence[Setting]) -> list[Setting]:
    """Of rows within several numbers of environment steps, those within the task's own, which is the largest."""
    most: dict[Any, int] = {}
    for each in settings:
        budget = each.values.get("budget")
        if budget is not None:
            most[each.values.get("task")] = max(most.get(each.values.get("task"), 0), budget)
    return [each for each in settings if each.values.get("budget") in (None, most.get(each.values.get("task")))]


def _by(settings: Sequence[Setting], names: Sequence[str]) -> list[tuple[str, list[Setting]]]:
    groups: dict[str, list[Setting]] = {}
    for each in settings:
        words = (text(each.values.get(name)) for name in names)
        groups.setdefault(", ".join(filter(None, words)), []).append(each)
    return list(groups.items())


def _lead(usual: dict[str, Any]) -> str:
    if len(usual) < 2:
        return ""
    return (
        "One setting at a time; the others are "
        + ", ".join(f"{k.replace('_', ' ')} {text(v)}" for k, v in usual.items())
        + "."
    )


def _scaled(value: Any, factor: float) -> float | None:
    return None if value is None else factor * value
