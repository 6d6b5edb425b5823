"""Summary of a drive, updated while it runs and printed at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..records.intervals import percentiles


@dataclass
class Summary:
    """Counts, times and faults of a drive."""

    task: str
    timing: str
    episodes: int = 0  # finished episodes
    successes: int = 0
    steps: int = 0  # control periods
    seconds: float = 0.0  # seconds of simulator time
    answer_ms: list[float] = field(default_factory=list)  # from an observation received to an action sent
    plan_ms: list[float] = field(default_factory=list)  # duration of a plan
    late: int = 0  # actions, in real time
    slips: int = 0  # physics steps that the machine began late
    sources: Counter[str] = field(default_factory=Counter)  # of actions
    known: bool = True  # whether the goals' coordinates are known; without them no success can be judged
    costs: list[tuple[float, float]] = field(default_factory=list)  # of the first and last plan, towards a picture
    events: Counter[str] = field(default_factory=Counter)  # count of onsets of each fault


def show(summary: Summary) -> None:
    """Print the summary."""
    table = Table(title=f"drive {summary.task}, timing={summary.timing}", box=SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    actions = sum(summary.sources.values())
    reached = f"{summary.successes} of {summary.episodes}"
    unknown = f"not known, {summary.episodes} episode{'s' * (summary.episodes != 1)}: add goal_at=[...]"
    table.add_row("goals reached", reached if summary.known or summary.successes else unknown)
    if summary.costs:
        first, last = np.median(summary.costs, axis=0)
        table.add_row("cost of plans, first / last", f"{first:.3g} / {last:.3g}")
    table.add_row("control periods", f"{summary.steps} ({summary.seconds:.1f} s of the simulator)")
    for name, times in (("plan ms p50 / p99", summary.plan_ms), ("answer ms p50 / p99", summary.answer_ms)):
        if times:
            p50, _, p99 = percentiles(times)
            table.add_row(name, f"{p50:.2f} / {p99:.2f}")
    if summary.timing == "wallclock":
        table.add_row("late actions", f"{summary.late} of {summary.steps}")
        table.add_row("physics steps begun late", str(summary.slips))
    for source, count in summary.sources.most_common():
        table.add_row(f"actions from {source.lower().replace('_', ' ')}", f"{count / max(actions, 1):.1%}")
    for name, count in sorted(summary.events.items()):
        table.add_row(name.replace("_", " "), f"{count} time{'s' if count > 1 else ''}")
    Console().print(table)
