"""Versions of model files: what may be missing, what is refused, and what is upgraded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from worldmodel.models import formats
from worldmodel.models.architecture import Architecture
from worldmodel.models.checkpoint import (
    MODEL,
    kind_of,
    load_model,
    load_reward_model,
    load_training,
    save_training,
)
from worldmodel.models.fingerprint import differing, unknown
from worldmodel.models.goal_model import ModelConfig
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import vector

from .test_checkpoint_header import changed

OLD = Path(__file__).parents[2] / "data" / "formats" / "1"
LOADERS = {"model": load_model, "reward_model": load_reward_model}


def state(folder: Path) -> Path:
    save_training(folder / "t", {"w": np.zeros(2, np.float32)}, {"seed": 0}, {})
    return folder / "t"


def load_state(path: Path):
    return load_training(path, {"w": np.zeros(2, np.float32)}, {"seed": 0})


@pytest.mark.parametrize("config", [ModelConfig, RewardModelConfig])
def test_fields_with_a_default_may_be_missing_and_others_not(config: type[Architecture]) -> None:
    sensors = [{"name": "state", "shape": [2]}]
    assert config.from_json({"observation": sensors, "action_size": 1}) == config(vector(2), 1)
    with pytest.raises(ValueError, match="has missing fields: 'action_size'"):
        config.from_json({"observation": sensors, "width": 8})
    with pytest.raises(ValueError, match="must be an object; got list"):
        config.from_json([])


@pytest.mark.parametrize("kind", LOADERS)
def test_an_unknown_field_is_named_with_both_versions(tmp_path: Path, kind: str) -> None:
    for change in (lambda header: header["model"].update(flavour=1), lambda header: header.update(flavour=1)):
        path = changed(OLD / f"{kind}.safetensors", tmp_path / "m", change)
        with pytest.raises(ValueError, match="unknown fields: 'flavour', which a newer jepa-mpc may have") as raised:
            LOADERS[kind](path)
        message = str(raised.value)
        assert message.startswith(str(path)) and message.endswith(
            f"(the file has format version 1, and this version reads {formats.FORMAT})"
        )


def test_an_unknown_field_of_a_training_state_is_named(tmp_path: Path) -> None:
    path = changed(state(tmp_path), tmp_path / "t", lambda header: header.update(flavour=1))
    with pytest.raises(ValueError, match="unknown fields: 'flavour', which a newer jepa-mpc may have"):
        load_state(path)


def test_a_newer_file_is_refused_with_the_fix(tmp_path: Path) -> None:
    newer = formats.FORMAT + 1
    for source, load in (
        (OLD / "model.safetensors", load_model),
        (OLD / "reward_model.safetensors", load_reward_model),
        (OLD / "model.safetensors", kind_of),
        (state(tmp_path), load_state),
    ):
        path = changed(source, tmp_path / "m", lambda header: header.update(format=newer))
        words = f"m has format version {newer}, and this version reads {formats.FORMAT} and earlier: .*update jepa-mpc"
        with pytest.raises(ValueError, match=words):
            load(path)


@pytest.mark.parametrize("version", [None, "1", True, -1, -(10**30), 1.0, [1]])
def test_a_version_that_there_never_was_is_refused(tmp_path: Path, version) -> None:
    path = changed(OLD / "model.safetensors", tmp_path / "m", lambda header: header.update(format=version))
    for load in (load_model, kind_of):
        with pytest.raises(ValueError, match=f"m has format version .*, and this version reads {formats.FORMAT}: take"):
            load(path)


def broad_to_width(header, tensors):
    """A made-up upgrade: what is `width` now was called `broad`, and weights were kept at half their size."""
    if header["kind"] == MODEL:
        model = dict(header["model"])
        model["width"] = model.pop("broad")
        header = {**header, "model": model}
        tensors = {name: 2 * each if each.ndim == 2 else each for name, each in tensors.items()}
    return header, tensors


def as_older(source: Path, target: Path, version: int) -> Path:
    """The model of format 1 as if an earlier version had written it."""

    def rename(header) -> None:
        header["format"] = version
        header["model"]["broad"] = header["model"].pop("width")

    content = changed(source, target, rename).read_bytes()
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size])["__metadata__"]
    halves = {name: each / 2 if each.ndim == 2 else each for name, each in parse(content).items()}
    target.write_bytes(serialise(halves, metadata))
    return target


def test_upgrades_are_applied_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_older(OLD / "model.safetensors", tmp_path / "m", -1)
    with pytest.raises(ValueError, match="has format version -1"):
        load_model(path)
    seen = []

    def first(header, tensors):
        seen.append("broad" in header["model"])
        return header, tensors

    monkeypatch.setitem(formats.UPGRADES, -1, first)
    with pytest.raises(ValueError, match="has format version -1"):  # there is a gap
        load_model(path)
    monkeypatch.setitem(formats.UPGRADES, 0, broad_to_width)
    known, upgraded = load_model(OLD / "model.safetensors"), load_model(path)
    assert seen == [True] and kind_of(path) == MODEL
    assert upgraded.model.config == known.model.config and upgraded.metadata == known.metadata
    for one, other in zip(upgraded.model.params, known.model.params, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_upgrade_that_meets_another_header_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(formats.UPGRADES, 0, broad_to_width)
    path = changed(OLD / "model.safetensors", tmp_path / "m", lambda header: header.update(format=0))
    words = f"m is damaged: format version 0 cannot be upgraded to {formats.FORMAT} .broad_to_width: KeyError"
    with pytest.raises(ValueError, match=words):
        load_model(path)


def test_a_setting_that_was_added_counts_as_its_default() -> None:
    stored = {"seed": 0, "model": {"width": 8}, "behaviour": {"parts": [{"scale": 1}, {"scale": 2}]}}
    wanted = {
        "seed": 0,
        "model": {"width": 8, "depth": 2},
        "behaviour": {"parts": [{"scale": 1, "beta": 0}, {"scale": 2, "beta": 0}]},
    }
    defaults = {"model": {"width": 4, "depth": 2}, "behaviour": {"parts": [{"beta": 0}, {"beta": 0}]}}
    assert differing(stored, wanted, defaults) == ({}, {}) == differing(wanted, stored, defaults)
    assert differing(stored, wanted, {})[1] == {"model": {"depth": 2}, "behaviour": wanted["behaviour"]}
    other = {**wanted, "model": {"width": 8, "depth": 3}}
    assert differing(stored, other, defaults) == ({"model": {"depth": 2}}, {"model": {"depth": 3}})
    newer = {**stored, "model": {"width": 8, "flavour": 1}}
    assert differing(newer, wanted, defaults) == ({"model": {"flavour": 1}}, {"model": {"flavour": None}})
    assert unknown(newer, wanted, defaults) == ["model.flavour"]


def test_a_training_state_without_a_new_setting_goes_on(tmp_path: Path) -> None:
    save_training(tmp_path / "t", {"w": np.ones(2, np.float32)}, {"seed": 0, "training": {"batch": 8}}, {"n": 1})
    wanted = {"seed": 0, "training": {"batch": 8, "warmup": 5}}
    template, defaults = {"w": np.zeros(2, np.float32)}, {"training": {"batch": 4, "warmup": 5}}
    _, extra = load_training(tmp_path / "t", template, wanted, defaults)
    assert extra == {"n": 1}
    with pytest.raises(ValueError, match="run with training={'warmup': 5}, and this one has training={'warmup': 9}"):
        load_training(tmp_path / "t", template, {"seed": 0, "training": {"batch": 8, "warmup": 9}}, defaults)
    save_training(tmp_path / "t", template, {"seed": 0, "training": {"batch": 8, "flavour": 1}}, {})
    with pytest.raises(ValueError, match=r"training={'flavour': 1} \(training.flavour: unknown to this version"):
        load_training(tmp_path / "t", template, wanted, defaults)
