import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.losses.distance import bootstrapped_steps, expectile_loss
from worldmodel.losses.prediction import further_members_in_turn, prediction_loss, rollout
from worldmodel.nets.heads import TemporalDistance
from worldmodel.nets.predictors import EnsemblePredictor
from worldmodel.types import Prediction


def test_rollout_is_repeated_prediction(key):
    def predict(latent, block):
        return Prediction(0.5 * latent + jnp.sum(block, axis=(-2, -1))[..., None])

    root, blocks = jax.random.normal(key, (4, 3)), jax.random.normal(jax.random.key(1), (4, 5, 2, 2))
    latent = root
    found = rollout(predict, root, blocks)
    for step in range(5):
        latent = predict(latent, blocks[:, step]).latent
        np.testing.assert_allclose(found[:, step], latent, rtol=1e-6)


def test_prediction_gradient_reaches_the_targets_too():
    zeros, all_of_it = jnp.zeros((1, 1, 2)), jnp.ones(1)
    gradient = jax.grad(lambda target: prediction_loss(zeros, target, all_of_it))(jnp.ones((1, 1, 2)))
    np.testing.assert_allclose(gradient, jnp.ones((1, 1, 2)))


def test_further_members_share_the_batch_and_the_first_has_none_of_it(key):
    predictor = EnsemblePredictor(3, 2, 2, 8, 1, 3, nnx.Rngs(0))
    root, blocks = jax.random.normal(key, (5, 3)), jax.random.normal(jax.random.key(1), (5, 4, 2, 2))
    predicted, members = further_members_in_turn(predictor, root, blocks)
    np.testing.assert_array_equal(members, [1, 1, 2, 2, 2])
    for row, member in enumerate(np.asarray(members)):
        latent = root[row]
        for step in range(4):
            latent = predictor.by(int(member), latent, blocks[row, step])
            np.testing.assert_allclose(predicted[row, step], latent, rtol=1e-4, atol=1e-5)


def test_expectile_settles_below_the_mean():
    targets = jnp.asarray([1.0, 2.0, 3.0, 10.0])
    value, descend = jnp.asarray(4.0), jax.jit(jax.grad(lambda v: jnp.mean(expectile_loss(v[None] - targets, 0.1))))
    for _ in range(2000):
        value = value - 0.1 * descend(value)
    # The expectile's own equation: weighted pulls from both sides are equal.
    above = 0.1 * jnp.sum(jnp.maximum(targets - value[None], 0))
    below = 0.9 * jnp.sum(jnp.maximum(value[None] - targets, 0))
    assert float(above) == pytest.approx(float(below), rel=1e-3)
    assert float(value) < 2.5


class Constant(TemporalDistance):
    """A critic that says the same number of steps everywhere."""

    def __init__(self, steps: float):
        self.steps = steps

    def __call__(self, latent, goal):
        return jnp.full(jnp.broadcast_shapes(latent.shape, goal.shape)[:-1], self.steps)


def test_bootstrapped_steps():
    latents, goals = jnp.zeros((1, 4, 2)), jnp.zeros((1, 1, 2))
    known = jnp.asarray([[12.0, 7.0, 2.0, jnp.inf]])  # the goal is 12 steps away, and passed after the third latent
    steps = bootstrapped_steps(Constant(100.0), latents, goals, known, block=5, longest=500.0)
    np.testing.assert_allclose(steps, [[12.0, 7.0, 2.0]])  # no more than were really taken
    steps = bootstrapped_steps(Constant(3.0), latents, goals, known, block=5, longest=500.0)
    np.testing.assert_allclose(steps, [[8.0, 7.0, 2.0]])  # a shorter way was found, but not within the block
    foreign = jnp.full((1, 4), jnp.inf)
    steps = bootstrapped_steps(Constant(499.0), latents, goals, foreign, block=5, longest=500.0)
    np.testing.assert_allclose(steps, [[500.0] * 3])
