"""Headers that lie: refused before a module is built, however large the sizes that they name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from worldmodel.models.architecture import check_count, check_positive
from worldmodel.models.checkpoint import (
    kind_of,
    load_model,
    load_reward_model,
    load_training,
    save_model,
    save_reward_model,
    save_training,
)
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import vector

STATE = ModelConfig(observation=vector(2), action_size=1, latent_size=3, width=4, head_width=4, depth=1, ensemble=1)
REWARD = RewardModelConfig(
    vector(2), 1, representation_size=8, width=8, encoder_width=8, critic_width=8, policy_width=8, depth=1, bins=5
)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import jax
    from flax import nnx

    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "state.safetensors", create(STATE, 0), STATE, {})
    weights = tuple(jax.tree.leaves(nnx.state(REWARD.create(0))))
    save_reward_model(folder / "reward.safetensors", weights, REWARD, {})
    return {"state": folder / "state.safetensors", "reward": folder / "reward.safetensors"}


def changed(source: Path, target: Path, change) -> Path:
    content = source.read_bytes()
    size = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + size])
    inner = json.loads(outer["__metadata__"]["jepa-mpc"])
    change(inner)
    outer["__metadata__"]["jepa-mpc"] = json.dumps(inner)
    text = json.dumps(outer).encode()
    target.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    return target


LOADERS = {"state": load_model, "reward": load_reward_model}
SIZES = {
    "state": [name for name, value in STATE.to_json().items() if type(value) is int],
    "reward": [name for name, value in REWARD.to_json().items() if type(value) is int],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in SIZES for name in SIZES[kind]])
def test_every_size_is_bounded_by_the_tensors(tmp_path, intact, kind, name):
    """Depth 10^6 took minutes to build."""
    path = changed(intact[kind], tmp_path / "m", lambda header: header["model"].update({name: 10**6}))
    with pytest.raises(ValueError) as raised:
        LOADERS[kind](path)
    assert str(raised.value).startswith(str(path)) and len(str(raised.value)) < len(str(path)) + 300


@pytest.mark.parametrize("value", [10**30, 17, 16, 0, -1, 1.5, True, "2", None, [2]])
def test_a_depth_that_cannot_be_is_refused_before_anything_is_built(tmp_path, intact, value):
    for kind, load in LOADERS.items():
        path = changed(intact[kind], tmp_path / "m", lambda header: header["model"].update(depth=value))
        with pytest.raises(ValueError, match="cannot use|its header describes"):
            load(path)


def test_a_number_that_is_no_count_is_named():
    for value in (1.5, True, "2", None, 0, 10**7, 10**1000):
        with pytest.raises(ValueError, match="model.width must be a whole number from 1 to 1000000; got ") as raised:
            check_count("width", value, 1)
        assert len(str(raised.value)) < 120


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header.update(model=[1]), "cannot use: the model configuration must be an object; got list"),
        (lambda header: header.update(metadata=[["a", 1]]), "cannot use: its metadata are no object"),
        (lambda header: header.pop("metadata"), "cannot use: 'metadata'"),
        (lambda header: header.update(kind=["x"] * 1000), "is a .* file: expected a"),
        (lambda header: header.update(format="9" * 1000), "has format version '9{39}, and this version reads [0-9]+:"),
    ],
)
def test_a_header_of_other_types_is_one_sentence(tmp_path, intact, kind, change, words):
    path = changed(intact[kind], tmp_path / "m.safetensors", change)
    with pytest.raises(ValueError, match=words):
        LOADERS[kind](path)


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1.0])
def test_bins_of_rewards_are_numbers(tmp_path, intact, limit):
    path = changed(intact["reward"], tmp_path / "m", lambda header: header["model"].update(bin_limit=limit))
    with pytest.raises(ValueError, match="model.bin_limit must be a positive number"):
        load_reward_model(path)
    for value in ("7", True, None):
        with pytest.raises(ValueError, match="model.bin_limit must be a positive number; got"):
            check_positive("bin_limit", value)


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = create(STATE, 0)
    model.encoder.mlp.output.bias[...] = np.full(3, np.nan, np.float32)
    save_model(tmp_path / "m", model, STATE, {})
    with pytest.raises(ValueError, match=r"has values in encoder.mlp.output.bias.value that are not finite"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "7", '{"__metadata__": {"jepa-mpc": 7}}', '{"__metadata__": 7}', "\x00"]
)
def test_a_header_that_is_no_json_of_ours_is_one_sentence(tmp_path, text):
    path = tmp_path / "m"
    path.write_bytes(len(text).to_bytes(8, "little") + text.encode())
    for load in (load_model, load_reward_model, kind_of):
        with pytest.raises(ValueError, match="is truncated or is not a safetensors file|of another program"):
            load(path)


def test_tensors_of_a_type_that_numpy_lacks_are_refused(tmp_path):
    content = save({"w": np.zeros(4, np.uint8)}, {"jepa-mpc": "{}"})
    for name in (b"F8_E5M2", b"BF16", b"XX"):
        path = tmp_path / "m"
        path.write_bytes(content.replace(b'"U8"', b'"' + name + b'"'))
        with pytest.raises(ValueError):
            load_model(path)


@pytest.mark.parametrize("change", [{"fingerprint": [1]}, {"fingerprint": None}, {"extra": "x"}])
def test_a_training_file_with_another_header_is_one_sentence(tmp_path, change):
    path = tmp_path / "t"
    save_training(path, {"w": np.zeros(2, np.float32)}, {"seed": 0}, {})
    changed(path, path, lambda header: header.update(change))
    with pytest.raises(ValueError, match="has a header that this version cannot use: remove it to begin anew"):
        load_training(path, {"w": np.zeros(2, np.float32)}, {"seed": 0})


def test_any_truncation_is_one_sentence(tmp_path, intact):
    content = intact["state"].read_bytes()
    for size in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "m").write_bytes(content[:size])
        with pytest.raises(ValueError, match="is truncated or is not a safetensors file"):
            load_model(tmp_path / "m")
