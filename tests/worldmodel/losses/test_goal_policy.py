import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.losses.goal_policy import NEAR, SEGMENTS, policy_loss
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
    return LatentWindows(latents, jnp.zeros((BATCH, SMALL.train_blocks, 2, 2)), goals, goals, numbers, numbers)


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
