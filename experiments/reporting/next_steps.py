"""What to measure next: seeds that some tasks lack, intervals that are wide, and models to look into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..bench import shipped
from ..records.intervals import wilson
from ..shell.overrides import command_line
from .pooling import Setting
from .tables import Table, text

SEEDS = 3  # of training, below which a success rate says little about the next training
WIDE = 0.10  # width of a 95 % interval of success, from which more seeds are worth their time
MOST_SEEDS = 5  # more seeds in one suggestion: what is uncertain then needs more episodes
MOST = 6  # suggestions of a table

Step = tuple[str, str]  # reason, command


def steps(table: Table, settings: Sequence[Setting]) -> list[Step]:
    """Suggestions for a table of success rates or returns, the most telling first."""
    models = [each for each in settings if each.values.get("policy") == "model" and each.values.get("episodes")]
    found = [*_missing_seeds(table, models), *_wide(table, models), *_runs(table), *_worst(models)]
    return found[:MOST]


def _missing_seeds(table: Table, models: Sequence[Setting]) -> list[Step]:
    """Seeds that other tasks of the table have, or that three are reached with."""
    everywhere = {seed for each in models for seed in each.seeds}
    wanted = everywhere | set(range(SEEDS)) if everywhere else set()
    lacking: dict[tuple[int, ...], list[Setting]] = {}
    for each in models:
        if each.seeds and not each.values.get("variant") and (none := tuple(sorted(wanted - set(each.seeds)))):
            lacking.setdefault(none, []).append(each)
    found = []
    for seeds, group in lacking.items():
        for observation, own in _by_observation(group).items():
            tasks = _tasks(own)
            shown = f"{_words(tasks)}{f' from {observation}' if observation not in ('', 'state') else ''}"
            some = sorted({len(each.seeds) for each in own})
            there = (
                f"{some[0]} seed{'' if some == [1] else 's'}" if len(some) == 1 else f"{some[0]} to {some[-1]} seeds"
            )
            reason = f"{shown}: {there} of training, {_words([str(s) for s in seeds])} missing"
            found.append((reason, _measure(table, own, list(seeds))))
    return found


def _wide(table: Table, models: Sequence[Setting]) -> list[Step]:
    found = []
    for each in models:
        low, high = each.values.get("ci_low"), each.values.get("ci_high")
        if low is None or high is None or high - low <= WIDE or not each.seeds:
            continue
        more = _more_seeds(each)
        first = max(each.seeds) + 1
        seeds = list(range(first, first + more))
        label = f", {each.values['variant']}" if each.values.get("variant") else ""
        reason = (
            f"{each.values['task']}{label}: success between {100 * low:.0f} and {100 * high:.0f} % is a wide interval; "
            f"{more} more seed{'' if more == 1 else 's'} would bring it to about {100 * WIDE:.0f} points"
        )
        found.append((reason, _measure(table, [each], seeds)))
    return found


def _more_seeds(setting: Setting) -> int:
    """Seeds to add until the interval is as narrow as `WIDE`, at the same rate and episodes a seed."""
    episodes = int(setting.values["episodes"])
    rate, per_seed = setting.values["successes"] / episodes, max(1, episodes // max(len(setting.seeds), 1))
    for more in range(1, MOST_SEEDS + 1):
        total = episodes + more * per_seed
        low, high = wilson(round(rate * total), total)
        if high - low <= WIDE:
            return more
    return MOST_SEEDS


def _runs(table: Table) -> list[Step]:
    """Seeds of learning curves: an interval over tasks needs two runs of each."""
    if not {"method", "env_steps", "return"} <= set(table.columns):
        return []
    runs = {(row["method"], row["task"], row["seed"]) for row in table.rows}
    seeds = sorted({seed for _, _, seed in runs})
    if len(seeds) > 1:
        return []
    suite = next(iter(table.suites()), "rewards")
    command = command_line("bench", {"suite": suite, "suite.seeds": [seeds[0] + 1, seeds[0] + 2], **_results(table)})
    return [("every curve is of one run, so that no interval can be given: train two more seeds", command)]


def _worst(models: Sequence[Setting]) -> list[Step]:
    usual = [
        each for each in models if not each.values.get("variant") and each.values["successes"] < each.values["episodes"]
    ]
    if not usual:
        return []
    worst = min(usual, key=lambda each: each.values["successes"] / each.values["episodes"])
    failed = worst.values["episodes"] - worst.values["successes"]
    settings = {"task": worst.values["task"]}
    if worst.values.get("observation") not in (None, "", "state"):
        settings["observation"] = worst.values["observation"]
    many = f"{failed:,} of {worst.values['episodes']:,} episodes of {worst.values['task']} failed, the largest share: see why"
    return [(many, command_line("diagnose", settings))]


def _measure(table: Table, settings: Sequence[Setting], seeds: list[int]) -> str:
    """Command that adds seeds of the model to the table."""
    suite = next((each for each in table.suites() if each in shipped.TABLES), None)
    tasks = _tasks(settings)
    first = settings[0].values
    planners = sorted({str(each.values["planner"]) for each in settings if each.values.get("planner")})
    if suite is None or any("/" in task for task in tasks):
        chosen: dict[str, object] = {"task": tasks[0], "seeds": seeds, "policies": ["model"]}
        if first.get("observation") not in (None, "", "state"):
            chosen["observation"] = first["observation"]
        own = table.path.parent != shipped.FOLDER
        return command_line("plan", {**chosen, **({"results": _relative(table.path)} if own else {})})
    chosen = {"suite": suite, "suite.tasks": tasks, "suite.seeds": seeds}
    if suite == "goal":
        chosen |= {"suite.policies": ["model"], "suite.simulated": []}
        if planners != ["cem"] and planners:
            chosen["suite.planners"] = planners
        if first.get("observation") not in (None, "", "state"):
            chosen["suite.observations"] = [first["observation"]]
        if protocols := sorted({str(each.values["protocol"]) for each in settings if each.values.get("protocol")}):
            chosen["suite.protocols"] = protocols
    return command_line("bench", {**chosen, **_results(table)})


def _results(table: Table) -> dict[str, object]:
    """The folder of the table, where it is not the usual one; rows that are shipped are not written to."""
    usual = table.path.parent in (shipped.FOLDER, Path("runs/bench"))
    return {} if usual or shipped.FOLDER in table.path.parents else {"results": _relative(table.path.parent)}


def _relative(path: Path) -> str:
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


def _by_observation(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    groups: dict[str, list[Setting]] = {}
    for each in settings:
        groups.setdefault(text(each.values.get("observation")), []).append(each)
    return groups


def _tasks(settings: Sequence[Setting]) -> list[str]:
    return list(dict.fromkeys(str(each.values["task"]) for each in settings))


def _words(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
