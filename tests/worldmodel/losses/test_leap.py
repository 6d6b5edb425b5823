"""Slower dynamics learn which futures are possible, not their mean."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from worldmodel.losses.leap import leap_loss
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.nets.leaps import Leaps
from worldmodel.training.goal_stages import leap_stage
from worldmodel.training.settings import TrainingConfig

from ..small import SMALL


@pytest.fixture(scope="module")
def learned():
    """Leaps that have seen a fork: from anywhere on a line to 1 above or 1 below, two blocks later."""
    rng = np.random.default_rng(0)
    begin = np.stack([rng.uniform(-1, 1, 4096), np.zeros(4096)], axis=-1)
    ends = begin + np.stack([np.zeros(4096), rng.choice([-1.0, 1.0], 4096)], axis=-1)
    latents = jnp.asarray(np.stack([begin, (begin + ends) / 2, ends], axis=1), jnp.float32)
    leaps = Leaps(2, 2, 2, 32, 1, nnx.Rngs(0))
    graph, weights = nnx.split(leaps)
    optimizer = optax.adam(3e-3)

    def update(state, key):
        weights, moments = state
        rows, draw = jax.random.split(key)
        batch = latents[jax.random.randint(rows, (256,), 0, len(latents))]
        loss = lambda weights: leap_loss(nnx.merge(graph, weights), batch, draw)  # noqa: E731
        (_, metrics), slope = jax.value_and_grad(loss, has_aux=True)(weights)
        with jax.numpy_dtype_promotion("standard"):
            change, moments = optimizer.update(slope, moments, weights)
        return (optax.apply_updates(weights, change), moments), metrics

    keys = jax.random.split(jax.random.key(0), 1500)
    (weights, _), metrics = jax.jit(lambda state: jax.lax.scan(update, state, keys))((weights, optimizer.init(weights)))
    return nnx.merge(graph, weights), {name: float(jnp.mean(values[-50:])) for name, values in metrics.items()}


def test_choices_lead_to_the_futures_of_the_data(learned):
    leaps, metrics = learned
    assert metrics["leap"] < 0.05 and metrics["leap_nats"] > 0.5
    choices = jax.random.normal(jax.random.key(1), (400, 2))
    ends = np.asarray(leaps(jnp.broadcast_to(jnp.asarray([0.3, 0.0]), (400, 2)), choices))
    assert np.quantile(np.abs(ends[:, 0] - 0.3), 0.9) < 0.2
    up, down = np.mean(ends[:, 1] > 0.7), np.mean(ends[:, 1] < -0.7)
    assert up > 0.25 and down > 0.25 and up + down > 0.75, "two ways, and hardly anything between them"


def test_an_untrained_leap_stays_where_it_is():
    leaps = Leaps(4, 3, 2, 16, 1, nnx.Rngs(0))
    latents = jax.random.normal(jax.random.key(0), (5, 4))
    np.testing.assert_array_equal(leaps(latents, jnp.ones((5, 3))), latents)


def test_a_model_has_leaps_only_where_asked():
    plain = create(SMALL, 0)
    assert plain.leaps is None and freeze(plain, SMALL).heads.leap is None
    assert leap_stage(plain, TrainingConfig()).updates == 0
    config = replace(SMALL, leap=2, leap_size=3)
    model = create(config, 0)
    frozen = freeze(model, config)
    assert frozen.heads.leap is not None
    assert (frozen.heads.leap.size, frozen.heads.leap.steps) == (3, 2 * SMALL.action_block)
    latents = jnp.ones((7, SMALL.latent_size))
    assert frozen.heads.leap(frozen.params, latents, jnp.zeros((7, 3))).shape == latents.shape
    assert leap_stage(model, TrainingConfig()).updates == TrainingConfig().leap_updates
    shared = nnx.state(model.encoder), nnx.state(plain.encoder)
    jax.tree.map(np.testing.assert_array_equal, *shared)
    with pytest.raises(ValueError, match="model.leap must be at most model.train_blocks"):
        replace(SMALL, leap=SMALL.train_blocks + 1)
