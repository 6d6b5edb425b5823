"""Tables of the rows of `jepa-mpc bench suite=goal`, one per protocol, pooled over seeds: for terminal and README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from rich.console import Console
from rich.table import Table

import envs

from ...records.intervals import pool
from ...records.results import Row

# Titles of the columns in Markdown and in the terminal.
COLUMNS = {
    "task": "task",
    "observation": "observation",
    "goal offset": "goal",
    "variant": "variant",
    "policy": "policy",
    "success (95 %)": "success (95 %)",
    "episodes": "n",
    "step p50 / p99, ms": "ms p50/p99",
    "training": "trained",
    "robot time": "robot",
    "parameters": "params",
}
TIMES = ("step p50 / p99, ms", "training")  # columns that compare only between rows measured under the same conditions
Setting = tuple[str, str, int, str, str, str]  # task, observation, goal offset, variant, policy, planner
STATE = "state"  # the observation of rows that need not name it
# Order of the policies in a table.
POLICIES = ("start", "model", "reflex", "oracle", "ceiling", "gcbc", "sac_her", "random", "noop")
TITLES = {
    "honest": "honest: starts and goals that no training saw, none of them solved at the start",
    "strict": "strict: the pairs of honest, within half of the tolerance for three moments in a row",
    "lewm": "lewm, the protocol of LeWorldModel: a state 25 steps ahead in a held-out trajectory, 50 steps; "
    "'start' counts what is solved before the first step",
}


def show(rows: Sequence[Row]) -> None:
    """Print one table per protocol."""
    for protocol in dict.fromkeys(row.protocol for row in rows):
        lines = list(_lines([row for row in rows if row.protocol == protocol]))
        shown = _shown(lines)
        table = Table(title=TITLES.get(protocol, protocol), box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for name in shown:
            words = name in ("task", "observation", "variant", "policy")
            table.add_column(COLUMNS[name], justify="left" if words else "right", no_wrap=True)
        for bold, line in lines:
            table.add_row(*(line[name] for name in shown), style="bold" if bold else "")
        Console().print(table, "")


def markdown(rows: Sequence[Row], protocol: str, leave_out: Sequence[str] = ()) -> str:
    """The rows of one protocol as a Markdown table, without the columns `leave_out`."""
    lines = list(_lines([row for row in rows if row.protocol == protocol]))
    shown = [name for name in _shown(lines) if name not in leave_out]
    text = [f"| {' | '.join(shown)} |", "|" + "---|" * len(shown)]
    for bold, line in lines:
        cells = [f"**{line[name]}**" if bold and line[name] else line[name] for name in shown]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def robot_hours(row: Row) -> float | None:
    """Robot time of the training data of the row's policy, in hours; None without training data."""
    return None if row.env_steps is None else row.env_steps * _period(row.task) / 3600


@cache
def _period(task: str) -> float:
    return envs.make(task).control_period


def _lines(rows: Sequence[Row]) -> Iterator[tuple[bool, dict[str, str]]]:
    """Each setting pooled over its seeds, and whether it is the default recipe's model."""
    of: dict[Setting, list[Row]] = {}
    for row in rows:
        setting = row.task, row.observation, row.goal_offset or 0, row.variant, row.policy, row.planner
        of.setdefault(setting, []).append(row)
    planners = {row.planner for row in rows if row.policy == "model"}
    for setting, seeds in sorted(of.items(), key=lambda item: _order(rows, item[0])):
        row, (task, seen, offset, variant, policy, planner) = pool(seeds), setting
        several = len({other[2] for other in of if other[0] == task}) > 1
        assert row.success_rate is not None and row.ci_low is not None and row.ci_high is not None
        hours, name = robot_hours(row), f"{policy}, {planner}" if planner and len(planners) > 1 else policy
        yield (
            policy == "model" and not variant,
            {
                "task": task,
                "observation": seen,
                "goal offset": f"+{offset}" if several else "",
                "variant": variant or "default",
                "policy": name,
                "success (95 %)": f"{row.success_rate:.1%} ({100 * row.ci_low:.1f}–{100 * row.ci_high:.1f})",
                "episodes": str(row.episodes),
                "step p50 / p99, ms": _milliseconds(row),
                "training": "" if row.train_seconds is None or policy == "oracle" else f"{row.train_seconds:.0f} s",
                "robot time": "" if hours is None or policy == "oracle" else f"{hours:.2f} h",
                "parameters": "" if row.parameters is None or policy == "oracle" else f"{row.parameters:,}",
            },
        )


def _order(rows: Sequence[Row], setting: Setting) -> tuple[int, ...]:
    """Sort key by the parts of a setting: policies as in `POLICIES`, offsets by size, others as they appear."""
    task, seen, offset, variant, policy, planner = setting

    def place(name: str, value: str) -> int:
        return list(dict.fromkeys(getattr(row, name) for row in rows)).index(value)

    recipe = place("variant", variant) if variant else -1  # the default's comes first
    first = place("task", task), place("observation", seen), offset
    return *first, recipe, POLICIES.index(policy), place("planner", planner)


def _milliseconds(row: Row) -> str:
    times = [f"{each:.2f}" if each < 1 else f"{each:.1f}" for each in (row.plan_ms_p50, row.plan_ms_p99) if each]
    return "/".join(times)


def _shown(lines: Sequence[tuple[bool, dict[str, str]]]) -> list[str]:
    """The columns with content; with variants, the policy only if there are several."""
    usual = ("", "default", STATE)
    shown = [name for name in COLUMNS if any(line[name] not in usual for _, line in lines)]
    if "variant" in shown and len({line["policy"] for _, line in lines}) == 1:
        shown.remove("policy")
    return shown
