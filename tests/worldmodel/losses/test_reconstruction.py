"""The reconstruction twin's loss, on tiny pictures."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.data.frame_windows import FrameWindows
from worldmodel.losses.detached_prediction import detached_prediction_loss
from worldmodel.losses.reconstruction import reconstruction_loss
from worldmodel.models.goal_model import create
from worldmodel.nets.encoders.build import sized
from worldmodel.nets.encoders.history import vector_size
from worldmodel.observation import PRESENT, ObservationSpec
from worldmodel.training.jepa import JepaConfig, jepa_loss
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer

from ..small import SMALL, pictured

TWIN = JepaConfig(prediction=0.0, sigreg=0.0, inverse=0.0, reconstruction=1.0)
TRAINING = TrainingConfig(
    updates=10,
    frozen_updates=10,
    critic_updates=0,
    policy_updates=0,
    batch=16,
    critic_batch=8,
    updates_per_call=10,
    learning_rate=3e-3,
)


@pytest.fixture(scope="module")
def data():
    return pictured([40] * 4)


@pytest.fixture(scope="module")
def config(data):
    return dataclasses.replace(
        SMALL, observation=sized(data.spec, "components", 8), probe_size=0, pictures="components", decoder=True
    )


@pytest.fixture(scope="module")
def model(data, config):
    return Trainer.of(data, config, TWIN, TRAINING).model(Trainer.of(data, config, TWIN, TRAINING).init())


@pytest.fixture(scope="module")
def windows(data):
    return FrameWindows.of(data, 2, 3, 2).sample(jax.random.key(1), 16)


def twin_loss(model, windows, config):
    return jepa_loss(model, model.distance_head, windows, jax.random.key(2), config, 8)


def gradients(function, model, windows):
    """The loss and the auxiliary values of `function(model, windows)`, and the largest gradient of each module."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    step = jax.jit(jax.value_and_grad(lambda params: function(nnx.merge(graph, params, rest), windows), has_aux=True))
    (loss, aux), found = step(params)
    sizes: dict[str, float] = {}
    for path, value in nnx.to_flat_state(found):
        sizes[path[0]] = max(sizes.get(path[0], 0.0), float(jnp.abs(value[...]).max()))
    return float(loss), aux, sizes


def test_the_twin_learns_from_reconstruction_and_the_critic_alone(model, windows):
    without_critic = dataclasses.replace(TWIN, distance=0.0)
    loss, metrics, sizes = gradients(partial(twin_loss, config=without_critic), model, windows)
    assert loss == pytest.approx(float(metrics["reconstruction"]), rel=1e-6)
    assert sizes["inverse"] == sizes["distance_head"] == 0
    assert min(sizes[name] for name in ("encoder", "predictor", "decoder")) > 0


def test_the_twin_is_as_bad_as_the_mean_picture_at_first_and_then_better(data, config):
    """About 1 for the picture of encoded and of predicted latents each, and 1 for the normalised vector of each."""
    made = Trainer.of(data, config, TWIN, dataclasses.replace(TRAINING, updates=30))
    state, first = made.step(made.init())
    for _ in range(2):
        state, later = made.step(state)
    assert 3 < float(first["reconstruction"]) < 6
    assert float(later["reconstruction"]) < 0.9 * float(first["reconstruction"])


def silenced(model):
    """The model with a decoder that answers zero: the mean picture and the mean of vectors."""
    graph, state = nnx.split(model)
    copied = nnx.merge(graph, jax.tree.map(jnp.copy, state))
    for layer in (copied.decoder.mlp.output, copied.decoder.pictures["pixels"].output):
        layer.kernel[...] = jnp.zeros_like(layer.kernel[...])
        layer.bias[...] = jnp.zeros_like(layer.bias[...])
    return copied


def parts(model, windows):
    latents = model.encode(model.embed(windows.observations))
    return latents, latents[:, 1:]


def test_errors_of_a_picture_are_relative_to_the_mean_picture(model, windows):
    silent = silenced(model)
    whole = float(reconstruction_loss(silent, windows, *parts(silent, windows)))
    proprio = silent.encoder.features(silent.embed({name: v[:, :, -1] for name, v in windows.observations.items()}))
    vectors = jnp.square(proprio[..., : vector_size(silent.encoder.spec)])
    assert whole - float(jnp.mean(vectors) + jnp.mean(vectors[:, 1:])) == pytest.approx(2.0, abs=0.1)


def test_a_missing_picture_is_not_decoded(data, config):
    spec = ObservationSpec(tuple(dataclasses.replace(each, optional=True) for each in data.spec.sensors))
    present = np.ones((data.rows, 1), np.uint8)
    readings = {**data.readings, "pixels" + PRESENT: present, "proprio" + PRESENT: present}
    seen = dataclasses.replace(data, spec=spec, readings=readings)
    model = create(dataclasses.replace(config, observation=sized(spec, "components", 8)), 0)
    windows = FrameWindows.of(seen, 2, 3, 2).sample(jax.random.key(1), 16)

    def loss(missing, shown):
        pictures, flags = (np.array(windows.observations[name]) for name in ("pixels", "pixels" + PRESENT))
        pictures[:4], flags[:4] = shown, not missing
        changed = {"pixels": jnp.asarray(pictures), "pixels" + PRESENT: jnp.asarray(flags)}
        after = dataclasses.replace(windows, observations={**windows.observations, **changed})
        return float(reconstruction_loss(model, after, *parts(model, windows)))

    assert loss(True, 0) == pytest.approx(loss(True, 255), rel=1e-6)
    assert loss(False, 0) != pytest.approx(loss(False, 255), rel=1e-3)


def test_detached_prediction_teaches_the_predictor_alone(model, windows):
    def loss(model, windows):
        latents = model.encode(model.embed(windows.observations))
        return detached_prediction_loss(model, latents[:, 0], latents, windows.actions), None

    value, _, sizes = gradients(loss, model, windows)
    assert value > 0 and sizes.pop("predictor") > 0 and set(sizes.values()) == {0.0}


def test_a_predictor_that_nothing_teaches_is_refused(model):
    with pytest.raises(ValueError, match="are all 0, and nothing would teach the predictor"):
        JepaConfig(prediction=0.0, sigreg=0.0).stages(model, TRAINING)
