"""Dot-and-whisker charts of a table: success with its interval, latency, and any other measured number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..pages.dots import Dot, dots
from ..pages.scale import Scale, number
from .pooling import Setting, charts
from .tables import SEEDS, Table, text

PERCENT = Scale(0.0, 100.0)
MOST = 60  # lanes of one chart
# Columns that are drawn from the tables of the suites: label of the axis, and a factor.
MEASURES = {
    "return": ("return", 1.0),
    "difference": ("difference in success to the reference, points", 100.0),
    "train_seconds": ("training, s", 1.0),
    "steps_mean": ("steps to the goal, successful episodes", 1.0),
    "ms": ("ms", 1.0),
    "r2_position": ("held-out R² of the position", 1.0),
    "r2_velocity": ("held-out R² of the velocity", 1.0),
    "leak": ("share of the representation that shows the distractor", 1.0),
    "accuracy": ("pairs whose impossible clip surprises more, %", 100.0),
    "auroc": ("AUROC of single clips", 1.0),
    "decisions_per_second": ("decisions a second", 1.0),
}
LATENCY = (("plan_ms_p50", "plan_ms_p95", "plan_ms_p99"), ("p50_ms", "p95_ms", "p99_ms"))
# Numbers that say how a row was measured.
_COUNTS = frozenset(
    [
        "episodes",
        "successes",
        "parameters",
        "env_steps",
        "gradient_steps",
        "action_repeat",
        "only_this",
        "only_reference",
    ]
)


@dataclass(frozen=True)
class Charts:
    """Charts under one heading."""

    heading: str
    lead: str
    drawn: tuple[str, ...]
    columns: str = ""  # `one` or `three`, in place of two beside one another
    legend: str = ""  # markup


def success(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    """Success rates with their intervals; small dots are the single seeds."""
    counted = [each for each in settings if each.values.get("success_rate") is not None]
    if not counted:
        return []
    drawn = [
        dots(title, [_success(name, each) for name, each in lanes.items()], PERCENT, "success, %")
        for title, lanes in charts(counted, table.identity).items()
    ]
    lead = "Dot: share of the episodes that succeeded, all seeds together. Whisker: 95 % interval. Small: single seeds."
    return [Charts("Success", lead, tuple(drawn))]


def _success(name: str, setting: Setting) -> Dot:
    values = setting.values
    rate, low, high = (values.get(key) for key in ("success_rate", "ci_low", "ci_high"))
    episodes = values.get("episodes")
    seeds = len(setting.seeds)
    counted = "" if episodes is None else f"{episodes:,} episodes" + (f", {seeds} seeds" if seeds > 1 else "")
    interval = "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    lines = [name, f"{100 * (rate or 0):.1f} %" + (f" (95 % interval {interval})" if interval else ""), counted]
    lines += _more(setting, ("plan_ms_p50", "train_seconds", "steps_mean", "evaluations"))
    parts = [
        (100 * row["success_rate"], f"{name}\nseed {_seed(row)}: {100 * row['success_rate']:.1f} %")
        for row in setting.rows
        if len(setting.rows) > 1 and row.get("success_rate") is not None
    ]
    return Dot(
        name=name.strip(),
        value=100 * (rate or 0),
        shown=f"{100 * (rate or 0):.3g} %"
        + (f" ({_short(low, high)})" if low is not None and high is not None else ""),
        text="\n".join(line for line in lines if line),
        low=None if low is None else 100 * low,
        high=None if high is None else 100 * high,
        parts=tuple(parts),
        detail=counted,
        kind="own" if setting.own else "",
    )


def latency(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    """Times of one plan: the dot is the median, the whisker ends at the 99th percentile."""
    columns = next((each for each in LATENCY if {each[0], each[2]} <= set(table.columns)), None)
    if columns is None:
        return []
    p50, p95, p99 = columns
    timed = [each for each in settings if each.values.get(p50) is not None and each.values.get(p99) is not None]
    if not timed or len(timed) > MOST:
        return []
    ends = [each.values[column] for each in timed for column in (p50, p99)]
    scale = Scale.of(ends, zero=True)
    drawn = []
    for title, lanes in charts(timed, table.identity).items():
        rows = [_time(name, each, (p50, p95, p99)) for name, each in lanes.items()]
        drawn.append(dots(title, rows, scale, "one control step, ms"))
    lead = (
        "Dot: the median of one control step. Small: the 95th percentile; the whisker ends at the 99th. Of several "
        "seeds the slowest counts."
    )
    return [Charts("Latency", lead, tuple(drawn), "three" if len(drawn) > 4 else "")]


def _time(name: str, setting: Setting, columns: tuple[str, str, str]) -> Dot:
    p50, p95, p99 = (setting.values.get(column) for column in columns)
    assert p50 is not None and p99 is not None
    words = [f"p50 {p50:.3g} ms", f"p95 {p95:.3g} ms" if p95 is not None else "", f"p99 {p99:.3g} ms"]
    return Dot(
        name=name.strip(),
        value=p50,
        shown=f"{p50:.2g} / {p99:.2g}",
        text="\n".join([name, *filter(None, words)]),
        low=p50,
        high=p99,
        parts=((p95, f"{name}\np95 {p95:.3g} ms"),) if p95 is not None else (),
        kind="own" if setting.own else "",
    )


def others(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    """Any other measured column; of a table that no suite wrote all of them, with bounds where it has some."""
    found = []
    for column, (label, factor) in _measured(table).items():
        known = [each for each in settings if isinstance(each.values.get(column), int | float)]
        if not known or (len(known) > 1 and len({each.values[column] for each in known}) == 1):
            continue
        split = charts(known, table.identity)
        if max(map(len, split.values())) > MOST:
            continue
        low, high = _bounds(table, column)

        def lane(name: str, each: Setting, column: str = column, factor: float = factor) -> Dot:
            return _measure(name, each, column, factor, _bounds(table, column))

        scale = _scale(known, (column, low, high), factor)
        drawn = [
            dots(title, [lane(name, each) for name, each in lanes.items()], scale, label)
            for title, lanes in split.items()
        ]
        several = any(len(each.rows) > 1 for each in known)
        lead = "Dot: mean over the seeds. Small: single seeds." if several else ""
        if low in table.columns and not several:
            lead = "Whisker: 95 % interval."
        found.append(Charts(_heading(label), lead, tuple(drawn)))
    return found


def _measured(table: Table) -> dict[str, tuple[str, float]]:
    known = {column: MEASURES[column] for column in MEASURES if column in table.columns}
    if known or any(table.manifests):
        return known
    bounds = {bound for column in table.columns for bound in _bounds(table, column)}
    latencies = {column for columns in LATENCY for column in columns}
    skipped = {*table.identity, *bounds, *latencies, *_COUNTS, "success_rate"}
    numbers = [
        column
        for column in table.columns
        if column not in skipped and any(isinstance(row[column], int | float) for row in table.rows)
    ]
    return {column: (column.replace("_", " "), 1.0) for column in numbers}


def _bounds(table: Table, column: str) -> tuple[str, str]:
    """Names of the columns with the ends of a column's interval; empty without."""
    pairs = [(f"{column}_low", f"{column}_high")]
    pairs += [("ci_low", "ci_high")] if column == "return" or f"{column}_rate" == "success_rate" else []
    return next((pair for pair in pairs if set(pair) <= set(table.columns)), ("", ""))


def _scale(settings: Sequence[Setting], columns: tuple[str, str, str], factor: float) -> Scale:
    shown = [
        factor * row[column]
        for each in settings
        for row in (each.values, *each.rows)
        for column in columns
        if isinstance(row.get(column), int | float)
    ]
    return Scale.of(shown, zero=True)


def _measure(name: str, setting: Setting, column: str, factor: float, bounds: tuple[str, str]) -> Dot:
    value = factor * setting.values[column]
    low, high = (setting.values.get(bound) for bound in bounds)
    ends = (None, None) if low is None or high is None else (factor * low, factor * high)
    words = [name, number(value)]
    if ends[0] is not None and ends[1] is not None:
        words[-1] += f" ({number(ends[0])} to {number(ends[1])})"
    parts = [
        (factor * row[column], f"{name}\nseed {_seed(row)}: {number(factor * row[column])}")
        for row in setting.rows
        if len(setting.rows) > 1 and isinstance(row.get(column), int | float)
    ]
    return Dot(
        name=name.strip(),
        value=value,
        shown=number(value),
        text="\n".join(words + _more(setting, ("episodes", "lowest", "highest"))),
        low=ends[0],
        high=ends[1],
        parts=tuple(parts),
        kind="own" if setting.own else "",
    )


def _more(setting: Setting, columns: Sequence[str]) -> list[str]:
    return [
        f"{column.replace('_', ' ')}: {text(setting.values[column])}"
        for column in columns
        if setting.values.get(column) is not None
    ]


def _seed(row: Mapping[str, object]) -> str:
    return ", ".join(str(row[name]) for name in SEEDS if row.get(name) is not None)


def _short(low: float, high: float) -> str:
    return f"{100 * low:.0f}\u2060–\u2060{100 * high:.0f}"  # not broken in the middle


def _heading(label: str) -> str:
    return label[:1].upper() + label[1:]


View = Callable[[Table, Sequence[Setting]], list[Charts]]
