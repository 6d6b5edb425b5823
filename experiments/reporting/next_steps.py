"""What to measure next: seeds that some tasks lack, intervals that are wide, and models to look into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..bench import shipped
from ..records.intervals import wilson
from ..shell.overrides import command_line
from .curves import is_swept
from .pooling import Setting
from .tables import COMMAND, Table, text

SEEDS = 3  # of training, below which a success rate says little about the next training
WIDE = 0.10  # width of a 95 % interval of success, from which more seeds are worth their time
MOST_SEEDS = 5  # more seeds in one suggestion: what is uncertain then needs more episodes
MOST = 6  # suggestions of a table
USUAL_WORDS = (None, "", "state", "honest")

Step = tuple[str, str]  # reason, command


def steps(table: Table, settings: Sequence[Setting]) -> list[Step]:
    """Suggestions for a table of success rates or returns: seeds that are missing, then intervals that are wide."""
    models = [
        each
        for each in settings
        if each.values.get("policy") == "model" and each.values.get("successes") is not None and each.seeds
    ]
    # A file that was named has the seeds that it has.
    trained = [each for each in models if not any("checkpoint=" in str(row.get(COMMAND)) for row in each.rows)]
    lacking = _missing_seeds(table, trained)
    wide = (
        [] if is_swept(table) else _wide(table, [each for each in trained if len(each.seeds) >= SEEDS or lacking == []])
    )
    return [*lacking, *wide, *_runs(table)][:MOST]


def look_into(settings: Sequence[Setting]) -> list[Step]:
    """The model whose share of failures is the largest, and the command that says whose fault they are."""
    usual = [
        each
        for each in settings
        if each.own and each.values.get("protocol") and each.values.get("successes") is not None
    ]
    failed = [each for each in usual if each.values["successes"] < each.values["episodes"]]
    if not failed:
        return []
    worst = min(failed, key=lambda each: each.values["successes"] / each.values["episodes"])
    values = worst.values
    count = values["episodes"] - values["successes"]
    how = ", ".join(
        text(values.get(name)) for name in ("task", "observation", "protocol") if values.get(name) not in USUAL_WORDS
    )
    chosen = {"task": values["task"]}
    if values.get("observation") not in USUAL_WORDS:
        chosen["observation"] = values["observation"]
    reason = (
        f"{how}: {count:,} of {values['episodes']:,} episodes failed, the largest share here. Whose fault are they?"
    )
    return [(reason, command_line("diagnose", chosen))]


def _missing_seeds(table: Table, models: Sequence[Setting]) -> list[Step]:
    """Seeds that other tasks of the table have, or that three are reached with."""
    usual = [each for each in models if not each.values.get("variant")]
    wanted = {seed for each in usual for seed in each.seeds} | set(range(SEEDS))
    lacking: dict[tuple[str, tuple[int, ...]], list[Setting]] = {}
    for each in usual:
        if none := tuple(sorted(wanted - set(each.seeds))):
            lacking.setdefault((text(each.values.get("observation")), none), []).append(each)
    found = []
    for (observation, seeds), group in lacking.items():
        shown = _words(_tasks(group)) + (f" from {observation}" if observation not in USUAL_WORDS else "")
        plural = "s" if len(seeds) > 1 else ""
        reason = f"{table.name}: {shown} lack{'' if len(_tasks(group)) > 1 else 's'} the seed{plural} {_words(seeds)}"
        found.append((reason, _measure(table, group, list(seeds))))
    return found


def _wide(table: Table, models: Sequence[Setting]) -> list[Step]:
    """One suggestion for the wide intervals under one observation and protocol."""
    groups: dict[tuple[str, str], list[Setting]] = {}
    for each in models:
        if each.values["ci_high"] - each.values["ci_low"] > WIDE:
            key = text(each.values.get("observation")), text(each.values.get("protocol"))
            groups.setdefault(key, []).append(each)
    found = []
    for group in groups.values():
        more = max(_more_seeds(each) for each in group)
        first = max(seed for each in group for seed in each.seeds) + 1
        cases = [
            f"{each.values['task']}{', ' + each.values['variant'] if each.values.get('variant') else ''} "
            f"{100 * each.values['ci_low']:.0f} to {100 * each.values['ci_high']:.0f} %"
            for each in group
        ]
        reason = (
            f"{table.name}: the interval of success is wider than {100 * WIDE:.0f} points ({'; '.join(cases)}); "
            f"{more} more seed{'' if more == 1 else 's'} would about do"
        )
        found.append((reason, _measure(table, group, list(range(first, first + more)))))
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
    seeds = sorted({row["seed"] for row in table.rows})
    if len(seeds) > 1:
        return []
    suite = next(iter(table.suites()), "rewards")
    command = command_line("bench", {"suite": suite, "suite.seeds": [seeds[0] + 1, seeds[0] + 2], **_results(table)})
    return [
        (f"{table.name}: every curve is of one run, so that no interval can be given; train two more seeds", command)
    ]


def _measure(table: Table, settings: Sequence[Setting], seeds: list[int]) -> str:
    """Command that adds seeds of the model to the table."""
    suite = next((each for each in table.suites() if each in shipped.TABLES), None)
    tasks = _tasks(settings)
    first = settings[0].values
    planners = sorted({str(each.values["planner"]) for each in settings if each.values.get("planner")})
    if suite is None or any("/" in task for task in tasks):
        chosen: dict[str, object] = {"task": tasks[0], "seeds": seeds, "policies": ["model"]}
        if first.get("observation") not in USUAL_WORDS:
            chosen["observation"] = first["observation"]
        own = table.path.parent != shipped.FOLDER
        return command_line("plan", {**chosen, **({"results": _relative(table.path)} if own else {})})
    chosen = {"suite": suite, "suite.tasks": tasks, "suite.seeds": seeds}
    if suite == "goal":
        chosen |= {"suite.policies": ["model"], "suite.simulated": []}
        if planners != ["cem"] and planners:
            chosen["suite.planners"] = planners
        if first.get("observation") not in USUAL_WORDS:
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


def _tasks(settings: Sequence[Setting]) -> list[str]:
    return list(dict.fromkeys(str(each.values["task"]) for each in settings))


def _words(names: Sequence[object]) -> str:
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
