"""The head for missing sensors: what it learns, how its errors are measured, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.data.windows import WindowSampler
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.nets.filling import AGES, UNMEASURED, Filling, difference
from worldmodel.observation import ObservationSpec, Sensor
from worldmodel.training.encoded import encoded
from worldmodel.training.filling import WITHIN, imagined, learn_filling, measured, split
from worldmodel.training.settings import TrainingConfig

from ..small import SMALL, episodes

SPEC = ObservationSpec((Sensor("position", (2,)), Sensor("velocity", (2,), optional=True)))
CONFIG = replace(SMALL, observation=SPEC, filling=True)
TRAINING = TrainingConfig(filling_updates=300, batch=64, updates_per_call=100)


def two_sensors(seed: int, count: int = 40):
    """The pushed point with two sensors, the second of which is missing in a tenth of the moments."""
    data = episodes([40] * count, seed)
    state = data.readings["state"]
    present = (np.random.default_rng(seed).random((len(state), 1)) > 0.1).astype(np.float32)
    readings = {"position": state[:, :2], "velocity": state[:, 2:] * present, "velocity_present": present}
    return replace(data, readings=readings, spec=SPEC)


def moments_of(model, data):
    return encoded(WindowSampler.of(data, CONFIG.history, CONFIG.train_blocks, CONFIG.action_block), model)


@pytest.fixture(scope="module")
def learned():
    """A model with a random encoder and a trained head, and its weights before that."""
    data, model = two_sensors(0), create(CONFIG, 0)
    model.fit_scales(
        data.readings, data.last, data.actions, data.action_low, data.action_high, np.zeros((data.rows, 2))
    )
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model)))
    losses = []
    learn_filling(model, moments_of(model, data), TRAINING, lambda _, metrics: losses.append(metrics["filling"]))
    return model, before, losses


def test_nothing_but_the_head_learns(learned):
    model, before, losses = learned
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model)))
    assert losses[-1] < losses[0] - 0.5 and len(losses) == 3
    assert before.keys() == after.keys()
    for name in before.keys() - {"filling"}:
        jax.tree.map(np.testing.assert_array_equal, before[name], after[name])
    assert any(not np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (before, after)), strict=True))


@pytest.mark.parametrize("sensor", range(2))
def test_errors_on_new_episodes_are_as_large_as_it_says(learned, sensor):
    model, _, _ = learned
    moments = moments_of(model, two_sensors(1))
    begin = jnp.arange(0, len(moments.embeddings) - 16, 41, dtype=jnp.int32) + 2
    missing = jnp.zeros((len(begin), 2), bool).at[:, sensor].set(True)
    found = imagined(model, model.filling, moments, begin, missing, 16)
    place = list(SPEC.slices.values())[sensor]
    for age in (1, 4, 16):
        deviation, trust = model.filling.calibrated(
            found.deviation[age - 1], ~missing, jnp.full((len(begin), 2), float(age))
        )
        judged = np.asarray(found.judged)[age - 1, :, place]
        inside = np.abs(np.asarray(found.error)[age - 1, :, place]) <= np.asarray(deviation)[:, place]
        assert abs(inside[judged].mean() - WITHIN) < 0.2
        assert 0 < float(trust[:, sensor].mean()) < 1
    if sensor == 1:  # with the velocity missing now and then in the data themselves, repeating it is no measure
        return
    still = moments.embeddings[begin + 8] - moments.embeddings[begin]  # what repeating the last reading is wrong by
    error = np.asarray(found.error)[7, :, place][np.asarray(found.judged)[7, :, place]]
    assert np.sqrt(np.mean(error**2)) < 0.5 * float(jnp.sqrt(jnp.mean(still[:, place] ** 2)))


def test_the_deviation_grows_and_the_trust_falls_with_the_time_since_a_sensor_was_read(learned):
    model, _, _ = learned
    factors = np.asarray(model.filling.factors[...])
    assert factors.shape == (2, 2, len(AGES)) and (np.diff(factors, axis=-1) >= 0).all()
    ages = jnp.asarray([1.0, 3.0, 10.0, 64.0, 1000.0])[:, None] * jnp.ones((1, 2))
    deviation, trust = model.filling.calibrated(jnp.full((5, 5), 0.1), jnp.asarray([[False, True]] * 5), ages)
    assert (np.diff(np.asarray(deviation)[:, 0]) > 0).all() and (np.diff(np.asarray(trust)[:, 0]) < 0).all()
    assert float(trust[-1, 0]) == 0.0
    np.testing.assert_allclose(deviation[0, 0], 0.1 * factors[0, 0, 0], rtol=1e-5)
    both, _ = model.filling.calibrated(jnp.full((5,), 0.01), jnp.zeros((2,), bool), jnp.full((2,), 16.0))
    np.testing.assert_allclose(both[0], 0.01 * factors[1, 0, 4], rtol=1e-5)


def test_a_head_that_was_never_measured_is_not_trusted():
    model = create(CONFIG, 0)
    assert (model.filling.factors[...] == UNMEASURED).all()
    _, trust = model.filling.calibrated(jnp.full((5,), 0.01), jnp.zeros((2,), bool), jnp.ones((2,)))
    assert not trust.any()


def test_the_errors_are_measured_on_episodes_that_the_head_has_not_seen(learned):
    model, _, _ = learned
    moments = moments_of(model, two_sensors(0))
    taught, held = split(moments)
    assert taught.stop == held.start == 36 * 41 and held.stop == len(moments.embeddings)
    np.testing.assert_allclose(measured(model, moments, held), model.filling.factors[...], rtol=1e-5)


def test_frozen_it_answers_the_same_and_comes_back_from_a_file(learned, tmp_path):
    model, _, _ = learned
    frozen = freeze(model, CONFIG)
    asked = [jnp.ones(8), jnp.ones(5), jnp.ones(2), jnp.zeros(5), jnp.asarray([0.0, 1.0]), jnp.asarray([2.0, 1.0])]
    save_model(tmp_path / "model.safetensors", frozen)
    again = load_model(tmp_path / "model.safetensors").model
    for one, other, direct in zip(
        frozen.heads.fill(frozen.params, *asked),
        again.heads.fill(again.params, *asked),
        model.fill(*asked),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, direct, rtol=1e-6)


def test_a_model_without_the_head_is_what_it_was():
    plain = replace(CONFIG, filling=False)
    assert freeze(create(plain, 0), plain).heads.fill is None
    with_head, without = (nnx.to_pure_dict(nnx.state(create(config, 0))) for config in (CONFIG, plain))
    assert with_head.keys() - without.keys() == {"filling"}
    for name in without:
        jax.tree.map(np.testing.assert_array_equal, with_head[name], without[name])
    model = create(plain, 0)
    assert model.filling is None


def test_an_angle_changes_the_shorter_way_round():
    spec = ObservationSpec((Sensor("heading", (2,), period=(360.0, 0.0)),))
    delta = difference(spec, jnp.asarray([10.0, 10.0]), jnp.asarray([350.0, 350.0]))
    np.testing.assert_allclose(delta, [20.0, -340.0], atol=1e-4)
    head = Filling(spec, 4, 1, 8, 1, nnx.Rngs(0))
    mean, _ = head(jnp.zeros(4), jnp.zeros(1), jnp.asarray([350.0, 1.0]), jnp.zeros(2), jnp.zeros(2, bool))
    np.testing.assert_allclose(mean, [350.0, 1.0])  # untrained: no change


def test_with_older_moments_a_step_goes_on_from_the_moments_that_a_latent_looks_back_over():
    """Where nothing is missing, the second step from one moment is the first one from the next moment."""
    config, data = replace(CONFIG, memory=2, memory_stride=4), two_sensors(0, count=4)
    model = create(config, 0)
    model.fit_scales(data.readings, data.last, data.actions, data.action_low, data.action_high)
    sizes = config.history, config.train_blocks, config.action_block
    moments = encoded(WindowSampler.of(data, *sizes, older=config.older), model)
    begin, nothing = jnp.asarray([0, 5, 20, 60], jnp.int32), jnp.zeros((4, 2), bool)
    twice = imagined(model, model.filling, moments, begin, nothing, 2)
    once = imagined(model, model.filling, moments, begin + 1, nothing, 1)
    np.testing.assert_allclose(twice.mean[1], once.mean[0], rtol=1e-4, atol=1e-4)
