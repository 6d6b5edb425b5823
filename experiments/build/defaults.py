"""Defaults for settings that a stored recipe lacks because they are newer: those of the dataclasses.

A field that is added to a dataclass therefore needs a default that keeps the earlier behaviour; the YAML may differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import hydra.utils

from worldmodel.models.goal_model import ModelConfig
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.td import TdConfig
from worldmodel.training.td_trainer import TdTrainingConfig
from worldmodel.training.video import VideoConfig

# The dataclass of each group of a recipe.
Groups = Mapping[str, tuple[type[Any], ...]]
GOAL: Groups = {"model": (ModelConfig,), "objective": (JepaConfig, VideoConfig), "training": (TrainingConfig,)}
REWARD: Groups = {"model": (RewardModelConfig,), "objective": (TdConfig,), "training": (TdTrainingConfig,)}


def defaults(recipe: Mapping[str, Any], groups: Groups = GOAL) -> dict[str, Any]:
    """Defaults of all settings in a recipe, nested like it: from the dataclasses in `groups` and `_target_` classes.

    Other settings have no default: a missing one counts as null.
    """
    return {name: _nested(value, groups.get(name, ())) for name, value in recipe.items()}


def defaults_of(made: Any) -> Any:
    """Defaults of all fields of a dataclass instance, nested instances included; None for a plain value."""
    if isinstance(made, list | tuple):
        return [defaults_of(each) for each in made]
    if not dataclasses.is_dataclass(made) or isinstance(made, type):
        return None
    found = {field.name: defaults_of(getattr(made, field.name)) for field in dataclasses.fields(made)}
    return found | {name: each for name, each in _fields(type(made)).items() if found[name] is None}


def _nested(value: Any, kinds: tuple[type[Any], ...]) -> Any:
    """Defaults of one value in a recipe, nested values included; None for a plain value."""
    if isinstance(value, list):
        return [_nested(each, ()) for each in value]
    if not isinstance(value, Mapping):
        return None
    if isinstance(target := value.get("_target_"), str):
        kinds = (*kinds, *_named(target))
    found = {name: _nested(each, ()) for name, each in value.items()}
    for kind in kinds:
        found |= {name: default for name, default in _fields(kind).items() if found.get(name) is None}
    return found


def _named(target: str) -> tuple[type[Any], ...]:
    try:
        return (hydra.utils.get_class(target),)
    except Exception:  # Hydra wraps any error of the import; building the class reports it
        return ()


def _fields(kind: type[Any]) -> dict[str, Any]:
    """Defaults of a dataclass, as far as JSON can hold them."""
    if not dataclasses.is_dataclass(kind):
        return {}
    found = {field.name: field.default for field in dataclasses.fields(kind)}
    lists = {name: [*value] if isinstance(value, tuple) else value for name, value in found.items()}
    return {
        name: value for name, value in lists.items() if isinstance(value, str | int | float | list) or value is None
    }
