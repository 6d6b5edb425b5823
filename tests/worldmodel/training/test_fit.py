"""A model from arrays in one call, and what it says of data that cannot be right."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel import EpisodeData, ModelConfig, Trainer, TrainingConfig, fit
from worldmodel.training.jepa import JepaConfig

from ..small import SMALL, episodes

# The program of `trainer()`, so that it is compiled once.
OBJECTIVE = JepaConfig(sigreg_projections=16)
TRAINING = TrainingConfig(
    updates=40, frozen_updates=10, critic_updates=10, policy_updates=0, batch=32, critic_batch=16, updates_per_call=10
)
BOUNDS = ([-1.0, -1.0], [1.0, 1.0])


def arrays(lengths=(4, 3)):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n + 1, 3)) for n in lengths], [rng.uniform(-1, 1, (n, 2)) for n in lengths]


def test_it_trains_as_a_trainer_does_and_says_how_far_it_is():
    data = episodes([30] * 12)
    targets, seen = data.observations[:, :2], []
    model = fit(data, SMALL, OBJECTIVE, TRAINING, probe_targets=targets, on_progress=lambda *each: seen.append(each))
    assert [(update, total) for update, total, _ in seen] == [(update, 60) for update in range(10, 70, 10)]
    assert seen[3][2]["loss"] < 0.8 * seen[0][2]["loss"]
    run = Trainer.of(data, SMALL, OBJECTIVE, TRAINING, targets)
    expected = run.model(run.train(run.init()))
    assert model.config == SMALL
    moments = jnp.asarray(np.random.default_rng(0).normal(size=(5, SMALL.history, 4)), jnp.float32)
    np.testing.assert_array_equal(model.encode(model.params, moments), expected.encode(moments))


def test_scales_are_those_of_the_data_without_the_rows_where_no_action_was_taken():
    data = episodes([5, 30])
    data = replace(data, readings={"state": 100 + 7 * data.readings["state"]}, actions=data.actions + 3)
    run = Trainer.of(data, replace(SMALL, probe_size=0), OBJECTIVE, TRAINING)
    module = run.model(run.init())
    taken = data.actions[data.last != np.arange(data.rows)]
    np.testing.assert_allclose(module.predictor.normalizer.mean[...], taken.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(module.encoder.normalizer.mean[...], data.observations.mean(axis=0), rtol=1e-5)


def test_arrays_become_episodes():
    observations, actions = arrays()
    data = EpisodeData.of(observations, actions, BOUNDS)
    assert (data.episodes, data.rows, data.steps, data.spec.size) == (2, 9, 7, 3)
    np.testing.assert_array_equal(data.observations[5:], observations[1].astype(np.float32))
    np.testing.assert_array_equal(data.actions[5:8], actions[1].astype(np.float32))
    assert data.actions.dtype == np.float32 and not data.actions[[4, 8]].any()
    stacked = EpisodeData.of(np.stack([observations[0]] * 2), np.stack([actions[0]] * 2), BOUNDS)
    np.testing.assert_array_equal(stacked.observations[5:], data.observations[:5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, a: (o[:1], a, BOUNDS), "observations of 1 episodes and actions of 2: expected both of each episode"),
        (lambda o, a: ([], [], BOUNDS), "and at least one"),
        (lambda o, a: ([o[0], o[1][:-1]], a, BOUNDS), "episode 1 has 3 readings of the sensor state and 3 actions"),
        (lambda o, a: (o, [a[0], a[1][:, 0]], BOUNDS), r"episode 1 has actions of the shape \(3,\)"),
        (
            lambda o, a: (o, a, ([-1.0], [1.0])),
            r"actions of the shape \(4, 2\), and their bounds are \(1,\) and \(1,\)",
        ),
        (lambda o, a: ([o[0], o[1][:, :2]], a, BOUNDS), r"the sensor state reads \(2,\); expected \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        EpisodeData.of(*change(*arrays()))


def spoilt(which, value):
    observations, actions = arrays((30, 30))
    (observations if which == "observations" else actions)[1][7, 0] = value
    return EpisodeData.of(observations, actions, BOUNDS)


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (spoilt("observations", np.nan), {}, "episode 1 has a value that is not finite in the sensor state at step 7"),
        (spoilt("actions", np.inf), {}, "episode 1 has a value that is not finite in the actions at step 7"),
        (
            EpisodeData.of(*arrays((30,)), ([-np.inf, -1.0], [1.0, 1.0])),
            {},
            "the actions have no finite bounds: give EpisodeData.of those of the actuators",
        ),
        (spoilt("actions", 0.5), {"action_size": 3}, "the config has action_size=3, and the data need action_size=2"),
        (spoilt("actions", 0.5), {"probe_size": 2}, "the config has probe_size=2, and the data need probe_size=0"),
        (EpisodeData.of(*arrays((3,)), BOUNDS), {}, "no episode is long enough to learn from: the longest has 3 steps"),
    ],
)
def test_data_that_cannot_be_learned_from_are_named(data, changes, message):
    config = ModelConfig(**{"observation": data.spec, "action_size": 2, "policy": False, "width": 8, **changes})
    with pytest.raises(ValueError, match=message):
        fit(data, config, OBJECTIVE, TRAINING)


def test_a_config_for_other_sensors_is_refused():
    with pytest.raises(
        ValueError, match=r"for the sensors state float32\[4\], and the data have state float32\[3\]: give ModelConfig"
    ):
        fit(spoilt("actions", 0.5), SMALL, OBJECTIVE, TRAINING)
