"""Recipes that were stored before a setting existed: what is missing counts as its default."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.baselines import weights
from experiments.build import ActorConfig, compose, recipes
from experiments.build.defaults import GOAL, defaults
from experiments.build.learned import learned
from experiments.training.ensure import collect_data, ensure_data, ensure_model
from experiments.training.online import run as online
from experiments.training.online.config import GROUPS
from worldmodel.models.checkpoint import save_model
from worldmodel.models.fingerprint import differing, unknown
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from ...worldmodel.models.test_checkpoint_header import changed
from ..reward_recipe import save_random_reward_model

# Settings that a recipe could lack, and a value that is not the default of its dataclass.
GOAL_SETTINGS = {
    "model.decoder": True,
    "objective.partial_goals": 0.5,
    "training.frozen_updates": 100,
    "behaviour.parts.1.scale": 0.7,
}
REWARD_SETTINGS = {
    "model.bins": 7,
    "objective.entropy": 1.0,
    "training.spread_rate": 0.5,
    "online.updates": 7,
    "online.suggestions": 7,
    "online.start_from": "a.safetensors",
    "planner.num_samples": 7,
}


def parent(recipe: Any, name: str) -> tuple[Any, str]:
    """The innermost group of a dotted name, and the key in it."""
    *groups, key = name.split(".")
    for group in groups:
        recipe = recipe[int(group)] if isinstance(recipe, list) else recipe[group]
    return recipe, key


def defaulted(recipe: dict[str, Any], known: dict[str, Any], name: str) -> dict[str, Any]:
    """The recipe with one setting at its default."""
    recipe = copy.deepcopy(recipe)
    group, key = parent(recipe, name)
    assert key in group
    group[key] = parent(known, name)[0].get(key)
    return recipe


def without(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    recipe = copy.deepcopy(recipe)
    group, key = parent(recipe, name)
    del group[key]
    return recipe


def save(path: Path, recipe: dict[str, Any]) -> None:
    config = ModelConfig(vector(4), 2, latent_size=4, width=8, head_width=8, depth=1, ensemble=1)
    save_model(path, create(config, 0), config, {"recipe": recipe, "task": {"task": "two_room"}})


@pytest.mark.parametrize("name", GOAL_SETTINGS)
def test_a_model_from_before_a_setting_is_used_at_its_default_alone(tmp_path: Path, name: str, monkeypatch) -> None:
    recipe = recipes.recipe(compose("plan", "task=two_room"), 0)
    wanted = defaulted(recipe, defaults(recipe), name)
    save(tmp_path / "m", without(wanted, name))
    cfg = compose("plan", "task=two_room", f"runs='{tmp_path}'")
    monkeypatch.setattr("experiments.training.ensure.recipe", lambda cfg, seed: wanted)
    assert ensure_model(cfg, 0, tmp_path / "m").metadata["task"] == {"task": "two_room"}
    group, key = parent(wanted, name)
    group[key] = GOAL_SETTINGS[name]
    with pytest.raises(ValueError, match=f"was trained with {name.partition('.')[0]}=.*, and this recipe has .*'{key}"):
        ensure_model(cfg, 0, tmp_path / "m")


def test_a_setting_of_a_newer_version_is_named(tmp_path: Path) -> None:
    cfg = compose("plan", "task=two_room", f"runs='{tmp_path}'")
    recipe = recipes.recipe(cfg, 0)
    recipe["training"]["flavour"] = 3
    save(tmp_path / "m", recipe)
    with pytest.raises(
        ValueError, match=r"training={'flavour': 3} \(training.flavour: unknown to this version of jepa"
    ):
        ensure_model(cfg, 0, tmp_path / "m")


@pytest.mark.parametrize(
    ("part", "name", "other"),
    [("behaviour", "parts.0.noise.scale", 0.5), ("behaviour", "parts.1.scale", 0.5), ("task", "budget", 7)],
)
def test_data_from_before_a_setting_are_used_at_its_default_alone(tmp_path: Path, part, name, other) -> None:
    overrides = ("collection.episodes=2", "collection.steps=5", f"runs='{tmp_path}'")
    cfg = compose("train", "task=two_room", *overrides)
    path = recipes.Paths.of(cfg, 0).data
    collect_data(cfg, 0, path)
    file = next(path.rglob("metadata.json"))
    metadata = json.loads(file.read_bytes())
    described = json.loads(metadata[part])
    group, key = parent(described, name)
    default = group.pop(key)
    file.write_text(json.dumps({**metadata, part: json.dumps(described)}))
    assert ensure_data(cfg, 0) == path
    group[key] = other
    file.write_text(json.dumps({**metadata, part: json.dumps(described)}))
    with pytest.raises(ValueError, match=f"was collected with {part}=.*{other}.*, and this recipe wants .*{default}"):
        ensure_data(cfg, 0)


@pytest.mark.parametrize("name", REWARD_SETTINGS)
def test_a_reward_model_from_before_a_setting_is_used_at_its_default_alone(name: str) -> None:
    cfg = compose("train", "objective=td", "task=reward", "task.name=gym/Pendulum-v1")
    recipe = online._settings(cfg, 0)
    known = defaults(recipe, GROUPS)
    wanted = defaulted(recipe, known, name)
    assert differing(without(wanted, name), wanted, known) == ({}, {})
    group, key = parent(wanted, name)
    group[key] = REWARD_SETTINGS[name]
    was, now = differing(without(wanted, name), wanted, known)
    assert [*was] == [*now] == [name.partition(".")[0]] and not unknown(wanted, wanted, known)


def test_a_reward_model_from_before_a_setting_acts(tmp_path: Path) -> None:
    path = save_random_reward_model(tmp_path / "m")
    assert learned(path).action_repeat == 4

    def forget(header) -> None:
        for name in ("action_repeat", "suggestions"):
            del header["metadata"]["settings"]["online"][name]

    settings = learned(path).checkpoint.metadata["settings"]
    wanted = {**settings, "online": {**settings["online"], "action_repeat": None, "suggestions": 16}}
    assert online._learned(changed(path, tmp_path / "older", forget), wanted)
    known = learned(tmp_path / "older")
    assert known.action_repeat == 1 and known.cfg.online.suggestions == ActorConfig().suggestions


def test_other_settings_of_a_reward_model_are_named(tmp_path: Path) -> None:
    path = save_random_reward_model(tmp_path / "m")
    wanted = {"task": {"name": "another"}, "flavour": None}
    with pytest.raises(ValueError, match=r"was learned with other settings \(online, planner, seed, task\): choose"):
        online._learned(path, wanted)


def test_a_baseline_from_before_a_setting_is_used(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Shape:
        width: int = 8
        depth: int = 2

    weights.write(tmp_path / "b", {}, {"recipe": {"seed": 0, "mlp": {"width": 4}}})
    groups = {"mlp": (Shape,)}
    _, header = weights.read(tmp_path / "b", {"seed": 0, "mlp": {"width": 4, "depth": 2}}, groups)
    assert header["recipe"]["seed"] == 0
    with pytest.raises(ValueError, match="made with mlp={'depth': 2}, and this recipe has {'depth': 3}"):
        weights.read(tmp_path / "b", {"seed": 0, "mlp": {"width": 4, "depth": 3}}, groups)


def test_every_setting_of_the_yaml_is_a_field_of_its_dataclass() -> None:
    """So each has a default that a recipe from before it counts as."""
    recipe = recipes.recipe(compose("train", "task=two_room"), 0)
    for group in GOAL:
        fields = {name for kind in GOAL[group] for name in kind.__dataclass_fields__}
        assert set(recipe[group]) <= fields
