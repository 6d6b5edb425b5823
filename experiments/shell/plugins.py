"""Tasks, planners and costs of installed packages, as choices on the command line (docs/plugins.md).

A planner or cost becomes a choice of its group, with the defaults of its class as settings, once it is named: Hydra's
store of configurations then has it for the rest of the process.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from worldmodel.plugins import Plugins

from .folders import config_dir

TASK = "installed"  # the choice of `task` that stands for every task of a package
_KINDS = {"task": "task", "planner": "planner", "cost": "cost", "+cost": "cost"}
KINDS = ("task", "planner", "cost", "encoder")
_TERM = "cost_term"  # group of single costs, to be added to others


def plugins(kind: str) -> Plugins:
    """The plugins of one of `KINDS`; the encoders of our own are known to worldmodel."""
    return Plugins(kind, frozenset(file.stem for file in (config_dir() / kind).glob("*.yaml")))


def installed(argument: str) -> list[str]:
    """Overrides for an argument that chooses what a package has installed; other arguments are unchanged.

    Raises:
      ValueError: a package takes a name of jepa-mpc's own, or what it registers cannot be used; or a sweep mixes its
        tasks with others.
    """
    key, _, value = argument.partition("=")
    kind = _KINDS.get(key)
    if kind is None or not value:
        return [argument]
    known = plugins(kind)
    names = [name.strip() for name in value.strip("[]").split(",")]
    for name in names:
        known.check(name)
    theirs = [name for name in names if name in known.names()]
    if not theirs:
        return [argument]
    if kind == "task":
        if others := [name for name in names if name not in theirs]:
            raise ValueError(
                f"{argument} mixes {theirs[0]}, a task of {known.found()[theirs[0]][0].package}, with {others[0]}: "
                "sweep over them in two commands"
            )
        return [f"task={TASK}", f"task.name={value}"]
    for name in theirs:
        _register(known, name)
    return [f"+{_TERM}@cost.{name}={name}" for name in names] if key == "+cost" else [argument]


def _register(known: Plugins, name: str) -> None:
    """Make a planner or cost a choice of its group."""
    from hydra.core.config_store import ConfigStore

    store, node = ConfigStore.instance(), _node(known, name)
    if known.kind == "cost":
        node = {**node, "weight": 1.0}
        store.store(group=_TERM, name=name, node=node)
        store.store(group="cost", name=name, node={name: node})
        return
    for field, value in list(node.items()):
        group = str(value.get("_target_", "")).rpartition(".")[2].lower() if isinstance(value, dict) else ""
        if (config_dir() / known.kind / field / f"{group}.yaml").is_file():  # a group, as for jepa-mpc's own
            del node[field]
            node["defaults"] = [*node.get("defaults", []), {field: group}]
    if "defaults" in node:
        node["defaults"].append("_self_")
    store.store(group=known.kind, name=name, node=node)


def _node(known: Plugins, name: str) -> dict[str, Any]:
    """The settings of a class: its name and the defaults of its fields."""
    made = known.load(name)
    if not (inspect.isclass(made) and dataclasses.is_dataclass(made)):
        plugin = known.found()[name][0]
        raise ValueError(
            f"the {known.kind} {name} of {plugin.package} is {plugin.entry.value}, which is no dataclass: register the "
            "class itself, whose fields are its settings (docs/plugins.md)"
        )
    values = {"_target_": f"{made.__module__}.{made.__qualname__}"}
    for field in dataclasses.fields(made):
        if field.default is not dataclasses.MISSING:
            values[field.name] = _plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = _plain(field.default_factory())
        else:
            values[field.name] = "???"
    return values


def _plain(value: Any) -> Any:
    """A default as a configuration has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        target = type(value)
        inner = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"_target_": f"{target.__module__}.{target.__qualname__}", **inner}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
