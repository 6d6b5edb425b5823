"""What `jepa-mpc list` shows, as rows. Nothing here imports JAX, and only the sensors of one task start a simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..shell.plugins import plugins
from . import files, models, tasks
from .allowed import allowed
from .files import SettingsFile

# The encoders of worldmodel, which imports JAX.
ENCODERS = {
    "patches": "a learned projection of each patch of 8 x 8 pixels",
    "motion": "directions of each patch in which what moves stands out: fitted to the data, so training is faster",
    "motion_twice": "the same, filtered twice: for textured backgrounds",
    "components": "principal components of each patch: fitted likewise, and what varies most is kept",
    "transformer": "a small vision transformer over the patches",
    "convolution": "a stack of convolutions: slow to train on a processor",
}


@dataclass(frozen=True)
class Request:
    """What the command line asks for: the task and the folder that some lists depend on."""

    task: str | None = None
    runs: Path = Path("runs")


@dataclass(frozen=True)
class Listing:
    """One list: what it holds, and the function that makes its rows."""

    line: str
    rows: Callable[[Request], list[dict[str, Any]]]
    note: str = ""  # how to use what it names


def contents() -> list[dict[str, Any]]:
    """What can be listed."""
    return [{"list": name, "shows": each.line} for name, each in LISTS.items()]


def _choices(group: str) -> Callable[[Request], list[dict[str, Any]]]:
    """Rows of the choices of a group, and of what packages add to it."""

    def rows(request: Request) -> list[dict[str, Any]]:
        name = group.rpartition("/")[2]
        found = [{name: each.name, "what": each.title} for each in files.choices(group)]
        return [*found, *_installed(group, name)] if group in ("cost",) else found

    return rows


def _planners(request: Request) -> list[dict[str, Any]]:
    rows = []
    for each in files.choices("planner"):
        what, _, when = each.title.partition(". ")
        rows.append({"planner": each.name, "what": what, "when": when.rstrip(".")})
    return [*rows, *({**each, "when": ""} for each in _installed("planner", "planner"))]


def _encoders(request: Request) -> list[dict[str, Any]]:
    return [*({"encoder": name, "what": what} for name, what in ENCODERS.items()), *_installed("encoder", "encoder")]


def _installed(kind: str, column: str) -> list[dict[str, Any]]:
    """Rows of what packages add, by their metadata: nothing is imported."""
    known = plugins(kind)
    names = [name for name in known.names() if kind != "encoder" or name not in ENCODERS]
    return [{column: name, "what": f"of {known.found()[name][0].package}"} for name in names]


def _suites(request: Request) -> list[dict[str, Any]]:
    return [
        {"suite": each.name, "question": each.first_sentence, "size": _size(each), "is_test": _promises(each)}
        for each in files.choices("suite")
    ]


def _size(suite: SettingsFile) -> str:
    """How much a suite measures by default."""
    values: dict[str, Any] = {}
    for parent in (*(each for each in files.choices("suite") if each.name in suite.parents), suite):
        values |= {each.key.removeprefix("suite."): each.value for each in parent.settings}
    words = [
        f"{len(values[name])} {name if len(values[name]) > 1 else name[:-1]}"
        for name in ("tasks", "methods", "seeds", "variants")
        if isinstance(values.get(name), list | dict) and values[name]
    ]
    words += [
        f"{values[name]:,} {name}"
        for name in ("episodes", "changes", "steps", "cycles", "files", "seconds")
        if values.get(name)
    ]
    return ", ".join(words)


def _promises(suite: SettingsFile) -> bool:
    """Whether a suite has limits, and fails where one is broken."""
    return any(each.key == "suite.promises" and each.value for each in suite.settings)


def _settings(request: Request) -> list[dict[str, Any]]:
    return [
        {
            "of": f"{each.group}={each.name}" if each.group else each.name,
            "setting": setting.key,
            "default": setting.value,
            "may_be": allowed(setting.key, setting.value),
            "meaning": files.own_meaning(each, setting),
        }
        for each in files.all_files()
        for setting in each.settings
    ]


LISTS: dict[str, Listing] = {
    "tasks": Listing(
        "tasks to plan in, with their sensors and the models that ship",
        lambda request: tasks.rows(),
        "task=NAME chooses one; checkpoint=published plans with a model that ships.",
    ),
    "models": Listing(
        "trained models: shipped, and under runs=FOLDER",
        lambda request: models.rows(request.runs),
        "checkpoint=FILE, or checkpoint=published with task= and observation=, plans with one.",
    ),
    "planners": Listing(
        "planners, and when to use which", _planners, "planner=NAME chooses one; docs/choosing_a_planner.md."
    ),
    "costs": Listing(
        "costs that a plan minimises", _choices("cost"), "cost=NAME chooses one, cost=[A,B] adds them up."
    ),
    "sensors": Listing(
        "what tasks can be observed by; task=NAME shows one in detail",
        lambda request: tasks.sensors(request.task),
        "observation=[A,B] chooses some of them.",
    ),
    "observations": Listing("recipes of what a model sees", _choices("observation"), "observation=NAME chooses one."),
    "encoders": Listing("encoders of pictures", _encoders, "model.pictures=NAME chooses one."),
    "methods": Listing("ways to learn", _choices("method"), "method=NAME chooses one."),
    "behaviours": Listing("behaviours that collect data", _choices("behaviour"), "behaviour=NAME chooses one."),
    "suites": Listing(
        "suites of measurements, and the question that each answers",
        _suites,
        "jepa-mpc bench suite=NAME runs one, shipped=true shows its rows; a test fails where a limit is broken.",
    ),
    "settings": Listing("every setting of every command", _settings, "docs/configuration.md has them, too."),
}


def shown(value: Any) -> str:
    """A cell of a printed table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(shown, value))
    return str(value)
