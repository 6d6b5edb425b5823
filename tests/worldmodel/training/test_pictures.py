import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.models.checkpoint import load_model, load_training, save_model, save_training
from worldmodel.models.freeze import freeze
from worldmodel.nets.encoders.build import sized
from worldmodel.training import trainer as trainer_module
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer

from ..small import SMALL, pictured

FINGERPRINT = {"seed": 0}


def trainer(data, pictures="patches", shift=0):
    stages = {"updates": 20, "frozen_updates": 10, "critic_updates": 10, "policy_updates": 0}
    training = TrainingConfig(**stages, batch=16, critic_batch=8, updates_per_call=10, learning_rate=3e-3)
    config = dataclasses.replace(
        SMALL, observation=sized(data.spec, pictures, None), probe_size=0, pictures=pictures, history=3
    )
    return Trainer.of(data, config, JepaConfig(shift=shift), training), config


@pytest.fixture(scope="module")
def data():
    return pictured([40] * 6)


@pytest.fixture(scope="module")
def run(data):
    return trainer(data)


@pytest.fixture(scope="module")
def trained(run):
    """The final state, and that after each call."""
    states = []
    final = run[0].train(run[0].init(), lambda state, _: states.append(jax.tree.map(jnp.copy, state)))
    return final, states


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_a_resumed_run_gives_the_same_weights(data, trained, tmp_path):
    final, states = trained
    for number, state in enumerate(states[:-1]):
        save_training(tmp_path / f"{number}.safetensors", state, FINGERPRINT, {})
        other, _ = trainer(data)
        loaded, _ = load_training(tmp_path / f"{number}.safetensors", other.init(), FINGERPRINT, {})
        assert same(other.train(loaded), final), number


def test_pictures_gathered_in_advance_change_nothing(data, trained, monkeypatch):
    monkeypatch.setattr(trainer_module, "FRAME_UPDATES", 1)
    other, _ = trainer(data)
    state = other.step(other.init())[0]
    for one, two in zip(jax.tree.leaves(state.params), jax.tree.leaves(trained[1][0].params), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-5)


def test_the_encoder_of_pictures_learns_in_the_first_stage_only(run, trained):
    joint, frozen = trained[1][1], trained[1][-1]
    assert not same(run[0].init().params["pictures"], joint.params["pictures"])
    assert same(joint.params["pictures"], frozen.params["pictures"])


def test_a_saved_model_embeds_as_the_trained_one(run, trained, data, tmp_path):
    model, config = run[0].model(trained[0]), run[1]
    save_model(tmp_path / "model.safetensors", model, config, {})
    loaded = load_model(tmp_path / "model.safetensors").model
    some = {name: jnp.asarray(values[:5]) for name, values in data.readings.items()}
    np.testing.assert_array_equal(loaded.embed(loaded.params, some), freeze(model, config).embed(loaded.params, some))
    embedded = loaded.embed(loaded.params, some)
    assert embedded.shape == (5, 66)
    np.testing.assert_array_equal(embedded[:, 64:], data.readings["proprio"][:5])


@pytest.mark.parametrize("kind", ["components", "motion"])
def test_components_are_computed_once_and_embed_as_pictures_do(data, kind):
    made, _ = trainer(data, kind)
    assert made.sampler.frames["pixels"].dtype == np.float16
    assert made.sampler.frames["pixels"].shape == (data.rows, 4 * 16)
    model = made.model(made.init())
    rows = slice(3, 9)
    projected = {"pixels": jnp.asarray(made.sampler.frames["pixels"][rows])}
    pictures = {"pixels": jnp.asarray(data.readings["pixels"][rows])}
    proprio = {"proprio": jnp.asarray(data.readings["proprio"][rows])}
    np.testing.assert_allclose(
        model.embed({**projected, **proprio}), model.embed({**pictures, **proprio}), rtol=1e-3, atol=1e-3
    )
    state = made.step(made.init())[0]
    assert int(state.update) == 10


def test_pictures_that_move_are_not_projected(data):
    made, _ = trainer(data, "components", shift=1)
    assert made.sampler.frames["pixels"] is data.readings["pixels"]
    assert int(made.step(made.init())[0].update) == 10


def loops_with_convolutions(jaxpr, inside=False):
    for equation in jaxpr.eqns:
        if inside and equation.primitive.name == "conv_general_dilated":
            return True
        within = inside or equation.primitive.name in ("scan", "while")
        for value in equation.params.values():
            for each in value if isinstance(value, (list, tuple)) else (value,):
                inner = getattr(each, "jaxpr", each)
                if hasattr(inner, "eqns") and loops_with_convolutions(inner, within):
                    return True
    return False


@pytest.mark.parametrize("kind", ["convolution", "patches"])
def test_no_convolution_runs_inside_a_loop_on_a_processor(data, kind):
    made, _ = trainer(data, kind)
    assert made.one_by_one is (kind == "convolution")
    seen, original = [], made.updates_on

    def noted(*arguments):
        seen.extend(arguments)
        raise InterruptedError  # tracing is enough: compiling takes a minute

    made._given = noted
    with pytest.raises(InterruptedError):
        made.step(made.init())
    name, state, windows, key = seen
    traced = jax.make_jaxpr(lambda state: original(name, state, windows, key))(state)
    assert not loops_with_convolutions(traced.jaxpr)
