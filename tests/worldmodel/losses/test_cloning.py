"""The policy imitates: only steps before the goal count, only of demonstrations, only where actions were recorded."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.losses.cloning import cloning_loss
from worldmodel.training.goal_stages import reflex_loss
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.trainer import Trainer
from worldmodel.types import LatentWindows

from ..small import SMALL, trainer

BATCH = 6


@pytest.fixture(scope="module")
def run():
    return trainer(policy_updates=60)


@pytest.fixture(scope="module")
def model(run):
    model = run.model(run.init())
    model.policy_head.fit(np.array([-2.0, 0.0]), np.array([2.0, 1.0]))  # half ranges of 2 and 0.5
    return model


@pytest.fixture(scope="module")
def windows():
    keys = jax.random.split(jax.random.key(0), 3)
    latents, goals = jax.random.normal(keys[0], (BATCH, 4, 8)), jax.random.normal(keys[1], (BATCH, 8))
    actions = jax.random.uniform(keys[2], (BATCH, SMALL.train_blocks, 2, 2))
    offsets = jnp.array([0, 1, 2, 9, 3, 1], jnp.int32)
    return LatentWindows(latents, actions, goals, goals[:, :4], offsets, jnp.arange(BATCH, dtype=jnp.int32))


def expected(model, windows, counts):
    """Mean over the steps `[B, 2]` that count."""
    wrong = np.asarray(model.policy(windows.latents[:, 0], windows.goals) - windows.actions[:, 0]) / [2.0, 0.5]
    return np.mean(np.square(wrong)[np.asarray(counts)])


BEFORE = np.array([[0, 0], [1, 0], [1, 1], [1, 1], [1, 1], [1, 0]], bool)


def test_steps_before_the_goal_count_in_half_ranges(model, windows):
    np.testing.assert_allclose(cloning_loss(model, windows), expected(model, windows, BEFORE), rtol=1e-5)


def test_only_demonstrations_with_recorded_actions_count(model, windows):
    shown = jnp.array([True, True, False, True, True, False])
    labelled = jnp.ones((BATCH, SMALL.train_blocks), bool).at[3, 0].set(False).at[4, 1].set(False)
    some = replace(windows, demonstrated=shown, labelled=labelled)
    counts = BEFORE & np.array([1, 1, 0, 0, 1, 0], bool)[:, None]
    np.testing.assert_allclose(cloning_loss(model, some), expected(model, windows, counts), rtol=1e-5)
    none = replace(windows, demonstrated=jnp.zeros(BATCH, bool))
    assert float(cloning_loss(model, none)) == 0.0


def test_the_loss_of_the_policy_is_a_weighted_sum(model, windows):
    def parts(**weights):
        config = JepaConfig(partial_goals=0.0, **weights)
        return reflex_loss(model, model.distance_head, windows, jax.random.key(0), config)

    loss, found = parts(descent=2.0, cloning=3.0)
    np.testing.assert_allclose(loss, 2 * found["policy"] + 3 * found["cloning"], rtol=1e-6)
    assert set(parts()[1]) == {"loss", "policy"} and set(parts(descent=0.0, cloning=1.0)[1]) == {"loss", "cloning"}
    assert parts()[0] == parts()[1]["policy"]


def test_a_policy_learns_by_imitation_alone(run):
    objective = JepaConfig(sigreg_projections=16, descent=0.0, cloning=1.0)
    again, seen = Trainer(run.model(run.init()), run.sampler, objective, run.config), []
    again.train(again.init(), lambda state, metrics: seen.append(metrics) and None)
    errors = [each["cloning"] for each in seen if "cloning" in each]
    assert len(errors) == 6 and errors[-1] < 0.9 * errors[0]
    assert not any("policy" in each for each in seen)


@pytest.mark.parametrize(
    ("updates", "weights", "said"),
    [
        (
            60,
            {"descent": 0.0},
            "objective.descent and objective.cloning are both 0, and nothing would teach the policy",
        ),
        (0, {"cloning": 1.0}, "objective.cloning needs a policy that imitates: add model.policy=true"),
        (60, {"cloning": -1.0}, "objective.cloning must be at least 0; got -1"),
    ],
)
def test_what_cannot_be_learned_is_one_sentence(updates, weights, said):
    run = trainer(policy_updates=updates)
    with pytest.raises(ValueError, match=said):
        Trainer(run.model(run.init()), run.sampler, JepaConfig(**weights), run.config)
