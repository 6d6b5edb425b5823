"""Dataclasses from composed settings: Hydra chooses the values, plain Python builds the objects.

A node with `_target_` names a class of ours (or of a user), whose fields are the node's other keys. The class defines
the fields and their types; a value of another type is rejected with the name of its setting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

import hydra
import hydra.utils
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from ..shell.folders import config_dir
from ..shell.limits import check
from ..shell.overrides import choices, readable
from ..shell.renamed import current

T = TypeVar("T")


def make(node: DictConfig, name: str) -> Any:
    """An instance of the dataclass `node._target_` with the node's values, checked against the types of its defaults.

    Raises:
      ValueError: the target cannot be imported or is not a dataclass, a field is unknown, or a value has a wrong type.
    """
    values = _plain(node)
    target = values.pop("_target_", None)
    try:
        cls = hydra.utils.get_class(str(target))
    except Exception as error:  # Hydra wraps any error of the import
        raise ValueError(
            f"{name}._target_={target} cannot be imported: give the dotted name of a class in a module that is "
            "installed or in the current folder"
        ) from error
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"{name}._target_={target} is not a dataclass, so its settings cannot be read")
    return fill(cls, values, name)


def settings_of(node: DictConfig) -> tuple[str, ...]:
    """Names of the settings of the dataclass `node._target_`; none where it is no such class, as `make` says."""
    try:
        cls = hydra.utils.get_class(str(node.get("_target_")))
    except Exception:  # Hydra wraps any error of the import
        return ()
    return tuple(field.name for field in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else ()


def fill(cls: type[T], values: Mapping[str, Any], name: str) -> T:
    """`cls(**values)` for a dataclass, with nested targets built and every value checked."""
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{name}.{unknown[0]} is not a setting of {cls.__name__}: it has {', '.join(fields)}")
    hints = get_type_hints(cls)
    # The default's type is stricter than a planner's annotation, which also admits traced arrays.
    kinds = {
        key: hints.get(key) if field.default is dataclasses.MISSING else type(field.default)
        for key, field in fields.items()
    }
    return cls(**{key: checked(value, kinds[key], f"{name}.{key}") for key, value in values.items()})


def compose(command: str, *overrides: str) -> DictConfig:
    """The settings of `jepa-mpc COMMAND OVERRIDES`; also works inside a running command."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()  # only one can exist
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
            words = [each for word in current(overrides) for each in choices(word)]
            return check(hydra.compose(command, readable(words, multirun=False)))
    finally:
        GlobalHydra.instance().hydra = running


def checked(value: Any, hint: Any, name: str) -> Any:
    """A value of the settings converted for its field: nested targets are built, lists become tuples.

    Raises:
      ValueError: the value is not of type `hint`.
    """
    if isinstance(value, dict) and "_target_" in value:
        return make(OmegaConf.create(value), name)
    if isinstance(value, list):  # YAML has no tuples, and a list cannot be static under jit
        return tuple(checked(each, None, f"{name}[{index}]") for index, each in enumerate(value))
    expected = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
    if hint is int and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{name} must be {expected[int]}; got {value!r}")
    if hint is float and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name} must be {expected[float]}; got {value!r}")
    if hint in (str, bool) and not isinstance(value, hint):
        raise ValueError(f"{name} must be {expected[hint]}; got {value!r}")
    return float(value) if hint is float else value


def _plain(node: DictConfig | ListConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    if not isinstance(plain, dict):
        raise ValueError(f"expected settings by name; got {plain!r}")
    return {str(key): value for key, value in plain.items()}
