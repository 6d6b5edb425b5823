import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from worldmodel.models.checkpoint import load_model, load_training, save_model, save_training
from worldmodel.models.formats import FORMAT
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer

from ..small import SMALL, episodes, trainer

FINGERPRINT = {"model": SMALL.to_json(), "seed": 0}


@pytest.fixture(scope="module")
def run():
    return trainer()


@pytest.fixture(scope="module")
def trained(run):
    """The final state, its history, and the state half way."""
    history, half = [], []

    def keep(state, metrics):
        history.append(metrics)
        if int(state.update) == 20:
            half.append(jax.tree.map(jnp.copy, state))

    return run.train(run.init(), keep), history, half[0]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_learns(trained):
    _, history, _ = trained
    first, last = history[0], [metrics for metrics in history if "sigreg" in metrics][-1]
    assert last["loss"] < 0.8 * first["loss"]
    assert last["horizon_ratio"] < first["horizon_ratio"]


def test_equal_seeds_give_equal_weights_and_another_seed_others(run, trained):
    final, _, _ = trained
    assert same(run.train(run.init()), final)
    other = trainer(seed=1)
    assert not same(other.step(other.init())[0].params, run.step(run.init())[0].params)


def test_another_seed_and_other_data_compile_nothing_again(compiled):
    """A new process has forgotten every program, and loads those that an earlier one stored."""

    def train(seed):
        stages = dict.fromkeys(("updates", "frozen_updates", "critic_updates", "policy_updates"), 2)
        config = TrainingConfig(**stages, batch=16, updates_per_call=2, seed=seed)
        data = episodes([30] * 12, seed)
        run = Trainer.of(data, SMALL, JepaConfig(sigreg_projections=4), config, data.observations[:, :2])
        run.train(run.init())

    train(0)
    first = compiled()
    jax.clear_caches()
    train(1)
    assert any("many_updates" in name for name in first)
    assert compiled() == first


def test_resumed_run_gives_the_same_bits(run, trained, tmp_path):
    final, _, half = trained
    save_training(tmp_path / "t.safetensors", half, FINGERPRINT, {"history": [1]})
    restored, extra = load_training(tmp_path / "t.safetensors", run.init(), FINGERPRINT)
    assert extra == {"history": [1]}
    assert same(run.train(restored), final)


def test_a_killed_run_goes_on_to_the_same_bits(trained, tmp_path):
    """A real process, a real SIGKILL in the middle, and the next process finishes the work."""
    final, _, _ = trained
    state, out = tmp_path / "t.safetensors", tmp_path / "out.npy"
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
import numpy as np, jax
from tests.worldmodel.small import trainer
from worldmodel.models.checkpoint import load_training, save_training
from worldmodel.training.jepa import JepaConfig
run = trainer()
state = run.init()
if os.path.exists({str(state)!r}):
    state, _ = load_training({str(state)!r}, state, {{}})
def after(state, metrics):
    save_training({str(state)!r}, state, {{}}, {{}})
    if int(state.update) == 20 and "--die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
state = run.train(state, after)
np.save({str(out)!r}, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)]))
"""
    killed = subprocess.run([sys.executable, "-c", script, "--die"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    subprocess.run([sys.executable, "-c", script], check=True)
    np.testing.assert_array_equal(np.load(out), np.concatenate([np.ravel(x) for x in jax.tree.leaves(final.params)]))


def test_divergence_is_told_and_stops(run):
    state = run.init()
    poisoned = dataclasses.replace(state, params=jax.tree.map(lambda leaf: leaf * jnp.nan, state.params))
    with pytest.raises(FloatingPointError, match="diverged at update 10 .* lower training.learning_rate"):
        run.train(poisoned)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"updates": 0}, "training.updates must be at least 1; got 0"),
        ({"learning_rate": -1.0}, "training.learning_rate must be positive; got -1.0"),
        ({"updates": 30, "updates_per_call": 20}, "must be a multiple of updates_per_call; got 30 and 20"),
    ],
)
def test_impossible_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expectile": 1.0}, "objective.expectile must lie between 0 and 1; got 1.0"),
        ({"foreign_goals": 0}, "objective.foreign_goals must be at least 1; got 0"),
        ({"sigreg": -0.1}, "objective.sigreg must be at least 0; got -0.1"),
    ],
)
def test_impossible_objectives_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        JepaConfig(**changes)


def test_more_foreign_goals_than_windows_are_refused(run):
    with pytest.raises(ValueError, match=r"objective.foreign_goals \(4\) must be less than training.batch \(4\)"):
        trainer(batch=4)


def test_model_file_round_trip(run, trained, tmp_path):
    model = run.model(trained[0])
    save_model(tmp_path / "m.safetensors", model, SMALL, {"task": "a"})
    loaded = load_model(tmp_path / "m.safetensors")
    obs = jnp.ones((3, SMALL.history, 4))
    np.testing.assert_array_equal(loaded.model.encode(loaded.model.params, obs), model.encode(obs))
    assert loaded.metadata == {"task": "a"}
    assert loaded.model.config == SMALL


@pytest.fixture
def model_file(run, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(path, run.model(run.init()), SMALL, {})
    return path


def test_bad_files_are_told_in_one_sentence(run, model_file, tmp_path):
    whole = model_file.read_bytes()
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
        load_model(tmp_path / "none")
    for cut in (4, 200, len(whole) // 2, len(whole) - 1):
        model_file.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is truncated or is not a safetensors file"):
            load_model(model_file)
    model_file.write_bytes(b"PK\x03\x04 a zip of pickles")
    with pytest.raises(ValueError, match="is truncated or is not a safetensors file"):
        load_model(model_file)
    save_file({"w": np.zeros(3)}, model_file)
    with pytest.raises(ValueError, match="a safetensors file of another program"):
        load_model(model_file)
    save_training(model_file, run.init(), {}, {})
    with pytest.raises(ValueError, match="is a training file: expected a model file"):
        load_model(model_file)


def _with_header(path, change):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    inner = json.loads(header["__metadata__"]["jepa-mpc"])
    change(inner)
    header["__metadata__"]["jepa-mpc"] = json.dumps(inner)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def test_header_that_does_not_fit_is_told(model_file):
    whole = model_file.read_bytes()
    for change, message in (
        (lambda header: header.update(format=99), f"has format version 99, and this version reads {FORMAT}"),
        (lambda header: header["model"].update(width=64), "does not fit: .* is float32"),
        (lambda header: header["model"].update(probe_size=0), "does not fit: tensors missing or unknown: probe_head"),
        (
            lambda header: header["model"].update(flavour="x"),
            "unknown fields: 'flavour', which a newer jepa-mpc may have written",
        ),
        (lambda header: header.pop("model"), "a header that this version cannot use"),
    ):
        model_file.write_bytes(whole)
        _with_header(model_file, change)
        with pytest.raises(ValueError, match=message):
            load_model(model_file)


def test_training_state_of_another_run_is_refused(run, tmp_path):
    save_training(tmp_path / "t.safetensors", run.init(), {"seed": 0, "width": 8}, {})
    with pytest.raises(ValueError, match="belongs to a run with seed=0, and this one has seed=1"):
        load_training(tmp_path / "t.safetensors", run.init(), {"seed": 1, "width": 8})
