import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.losses.goal_policy import NEAR, SEGMENTS, policy_loss, settling_loss
from worldmodel.nets.heads import GoalPolicy
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.reflex import reflex_loss
from worldmodel.types import LatentWindows

from ..small import SMALL, trainer

BATCH = 6


@pytest.fixture(scope="module")
def model():
    run = trainer(policy_updates=10)
    return run.model(run.step(run.init())[0])  # at first, predictions do not depend on actions


@pytest.fixture(scope="module")
def windows():
    latents, goals = (
        jax.random.normal(jax.random.key(seed), shape) for seed, shape in ((0, (BATCH, 4, 8)), (1, (BATCH, 8)))
    )
    numbers = jnp.arange(BATCH, dtype=jnp.int32)
    embeddings, moments = goals[:, :4], jax.random.normal(jax.random.key(2), (BATCH, 4, 4))
    actions = jnp.zeros((BATCH, SMALL.train_blocks, 2, 2))
    return LatentWindows(latents, actions, goals, embeddings, numbers, numbers, moments=moments)


def path(model, latent, goals, segments):
    """Latents of the policy's own path, each segment from where the one before ended."""
    found = []
    for _ in range(segments):
        latent = jax.lax.stop_gradient(latent)
        for _ in range(SMALL.train_blocks):
            latent = model.predict(latent, model.policy(latent, goals)).latent
            found.append(latent)
    return jnp.stack(found)


def reference(model, windows):
    """The loss, step by step."""
    goals = jnp.concatenate([windows.goals[:3], windows.goals[2:5]])  # the second half goes to another window's goal
    steps = path(model, windows.latents[:, 0], goals, SEGMENTS)
    assert len(steps) == SEGMENTS * SMALL.train_blocks
    return jnp.mean(jnp.log(NEAR + model.distance_head.scaled(steps, goals[None])))


def test_the_loss_is_the_mean_log_distance_along_the_policy_s_path(model, windows):
    np.testing.assert_allclose(policy_loss(model, windows), reference(model, windows), rtol=1e-4)


def test_the_policy_alone_learns_and_no_gradient_flows_from_a_segment_into_the_one_before(model, windows):
    slopes, expected = (nnx.grad(lambda model, of=of: of(model, windows))(model) for of in (policy_loss, reference))
    moved = {name for name, part in slopes.items() if any(np.any(leaf) for leaf in jax.tree.leaves(part))}
    assert moved == {"policy_head"}
    for one, other in zip(*(jax.tree.leaves(each["policy_head"]) for each in (slopes, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def settled(model, windows, key):
    """The loss of settling, step by step: all members predict, from rest to rest."""
    ends = np.asarray(jax.random.randint(key, (BATCH,), 1, SMALL.train_blocks + 1))
    still = lambda rows: model.encode(jnp.stack([rows] * SMALL.history, axis=1))  # noqa: E731
    goals = still(jnp.stack([windows.moments[row, end] for row, end in enumerate(ends)]))
    latent, found = still(windows.moments[:, 0]), []
    for _ in range(SMALL.train_blocks):
        block = model.policy(latent, goals)
        latent = (model.predictor.by(0, latent, block) + model.predictor.by(1, latent, block)) / 2
        found.append(jnp.log(NEAR + model.distance_head.scaled(latent, goals)))
    return jnp.mean(jnp.stack(found))


def test_the_policy_settles_from_rest_to_rest_nearby(model, windows):
    key = jax.random.key(3)
    np.testing.assert_allclose(settling_loss(model, windows, key), settled(model, windows, key), rtol=1e-4)
    slopes = nnx.grad(lambda model: settling_loss(model, windows, key))(model)
    assert {name for name, part in slopes.items() if any(np.any(leaf) for leaf in jax.tree.leaves(part))} == {
        "policy_head"
    }


def test_a_policy_that_settles_learns_goals_at_rest(model, windows):
    def losses(windows, **weights):
        config = JepaConfig(partial_goals=0.0, **weights)
        return reflex_loss(model, model.distance_head, windows, jax.random.key(0), config)

    loss, found = losses(windows, descent=2.0, settling=3.0)
    np.testing.assert_allclose(loss, 2 * found["policy"] + 3 * found["settling"], rtol=1e-6)
    moving = windows.replace(goals=windows.goals + 1.0)
    assert losses(moving, settling=1.0)[1]["policy"] == losses(windows, settling=1.0)[1]["policy"]
    assert losses(moving)[1]["policy"] != losses(windows)[1]["policy"]
    still = windows.replace(goals=model.at_rest(windows.goal_embeddings))
    np.testing.assert_allclose(losses(windows, settling=1.0)[1]["policy"], policy_loss(model, still, 1), rtol=1e-5)


@pytest.mark.parametrize("gain", [0, 20])
def test_a_gain_makes_small_differences_to_the_goal_large(gain):
    head = GoalPolicy(8, 2, 2, 32, 2, nnx.Rngs(0), gain)
    plain = GoalPolicy(8, 2, 2, 32, 2, nnx.Rngs(0))
    latent, goal = jax.random.normal(jax.random.key(1), (2, 8))
    away = jnp.tanh(20 * (goal - latent)) if gain else goal - latent
    np.testing.assert_allclose(head(latent, goal), jnp.tanh(plain.mlp(latent, goal, away)).reshape(2, 2), rtol=1e-6)
