"""What is wrong with measured rows of goal tasks, in sentences, with the command that helps.

Rows are judged in groups of one task, observation and protocol, pooled over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..shell.overrides import command_line
from .intervals import unpaired_difference

RANDOM_MOST = 0.05  # above this success rate of random actions a task is too easy to tell anything
LOOSE = "lewm"  # protocol of others that is looser than ours and stands in its own table
_NEEDED = {"random": "random actions", "noop": "no action", "oracle": "the same planner on the true dynamics"}

Pooled = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A sentence, the command that helps, and whether it is a failure or something to know."""

    text: str
    command: str = ""
    serious: bool = True
    place: str = ""  # the table that it is about
    missing: bool = False  # whether it is about rows that are not there


def of_goals(rows: Sequence[Pooled], place: str = "", beside: Sequence[Pooled] = ()) -> list[Finding]:
    """Findings about pooled rows; failures first.

    Args:
      rows: with the columns of a result, one for each setting.
      place: the table that they come from.
      beside: rows of other tables, which may hold the references of these.
    """
    groups = _groups(_counted(rows))
    found: list[Finding] = []
    for name, group in groups.items():
        found += _below_oracle(name, group)
        found += _no_better_than_random(name, group, _reference(group, group[0], "random"))
    found += _too_easy(groups)
    found += _missing(groups, [*_counted(rows), *_counted(beside)])
    return [replace(each, place=place) for each in sorted(found, key=lambda each: not each.serious)]


def _below_oracle(name: str, group: Sequence[Pooled]) -> list[Finding]:
    found = []
    for row in group:
        if row["policy"] != "model":
            continue
        same = [each for each in group if each["policy"] == "oracle" and each.get("planner") == row.get("planner")]
        for oracle in same if not row.get("variant") else ():
            less, low, high = unpaired_difference(_counts(row), _counts(oracle))
            if high < 0:
                found.append(
                    Finding(
                        f"{name}: the model reached {_rate(row)} of its goals and the oracle {_rate(oracle)}, "
                        f"{-100 * less:.0f} points more (95 % interval {-100 * high:.0f} to {-100 * low:.0f}): the "
                        "same planner and cost do better on the true dynamics, so the predictor is at fault",
                        _diagnose(row),
                    )
                )
    return found


def _no_better_than_random(name: str, group: Sequence[Pooled], random: Pooled | None) -> list[Finding]:
    found = []
    for row in group:
        if row["policy"] == "model" and random is not None:
            _, low, _ = unpaired_difference(_counts(row), _counts(random))
            if low <= 0:
                label = f", {row['variant']}" if row.get("variant") else ""
                text = f"{name}{label}: with {_rate(row)} of its goals the model is not shown to be better than random"
                found.append(Finding(f"{text} actions ({_rate(random)})", _diagnose(row)))
    return found


def _too_easy(groups: Mapping[str, Sequence[Pooled]]) -> list[Finding]:
    """One finding for tasks of ours that random actions solve, and one for those under a looser protocol."""
    found = []
    for loose, why in (
        (False, "too easy to tell a good model from a bad one"),
        (True, "a looser protocol of others, not to be compared with the honest one"),
    ):
        easy = [
            f"{_rate(row)} in {name}"
            for name, group in groups.items()
            for row in group
            if row["policy"] == "random"
            and row["successes"] / row["episodes"] > RANDOM_MOST
            and (row.get("protocol") == LOOSE) is loose
        ]
        if easy:
            text = f"random actions reach more than {100 * RANDOM_MOST:g} % of the goals ({'; '.join(easy)}): {why}"
            found.append(Finding(text, serious=not loose))
    return found


def _missing(groups: Mapping[str, Sequence[Pooled]], known: Sequence[Pooled]) -> list[Finding]:
    """One finding for each set of reference rows that is missing, with all the tasks that lack it."""
    lacking: dict[tuple[tuple[str, ...], str, str], dict[str, str]] = {}
    for name, group in groups.items():
        first = group[0]
        if not any(row["policy"] == "model" for row in group) or any(row.get("variant") for row in group):
            continue  # variants are compared with the default recipe
        observation, protocol = str(first.get("observation") or "state"), str(first.get("protocol") or "honest")
        needed = ["random", "noop"]
        if observation == "state" and protocol == "honest":
            needed.append("oracle")  # elsewhere it would draw a picture of each imagined moment, or is not measured
        if none := tuple(policy for policy in needed if _reference(known, first, policy) is None):
            lacking.setdefault((none, observation, protocol), {})[name] = str(first["task"])
    found = []
    for (none, observation, protocol), names in lacking.items():
        meaning = ", ".join(f"{policy} ({_NEEDED[policy]})" for policy in none)
        text = f"{'; '.join(names)}: no row of {meaning}, without which a success rate says little"
        tasks = list(dict.fromkeys(names.values()))
        settings: dict[str, Any] = {"suite": "goal", "suite.tasks": tasks, "suite.protocols": [protocol]}
        settings["suite.policies"] = [policy for policy in none if policy != "oracle"] or ["model"]
        settings["suite.simulated"] = [policy for policy in none if policy == "oracle"]
        if observation != "state":
            settings["suite.observations"] = [observation]
        command = command_line("bench", settings) if all("/" not in task for task in tasks) else ""
        found.append(Finding(text, command, serious=False, missing=True))
    return found


def _counted(rows: Sequence[Pooled]) -> list[Pooled]:
    return [row for row in rows if row.get("episodes") and row.get("successes") is not None]


def _groups(rows: Sequence[Pooled]) -> dict[str, list[Pooled]]:
    """Rows by task, observation and protocol, under a name without what is usual."""
    found: dict[str, list[Pooled]] = {}
    for row in rows:
        words = [str(row.get(name) or "") for name in ("task", "observation", "protocol")]
        found.setdefault(", ".join(word for word in words if word not in ("", "state", "honest")), []).append(row)
    return found


def _reference(rows: Sequence[Pooled], like: Pooled, policy: str) -> Pooled | None:
    """A row of a policy to compare with; random actions and none are the same whatever is observed."""
    same = ("task", "protocol") if policy != "oracle" else ("task", "protocol", "observation")
    found = (row for row in rows if row["policy"] == policy and all(row.get(k) == like.get(k) for k in same))
    return next(found, None)


def _counts(row: Pooled) -> tuple[int, int]:
    return int(row["successes"]), int(row["episodes"])


def _rate(row: Pooled) -> str:
    return f"{100 * row['successes'] / row['episodes']:.3g} %"


def _diagnose(row: Pooled) -> str:
    settings = {"task": row["task"]}
    if row.get("observation") not in ("", "state", None):
        settings["observation"] = row["observation"]
    return command_line("diagnose", settings)
