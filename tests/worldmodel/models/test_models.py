from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.diagnostics.health import diagnose, effective_rank, spread
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.nets.layers import MLP
from worldmodel.nets.normalization import Normalizer

from ..small import SMALL, trainer


@pytest.fixture(scope="module")
def model():
    return create(SMALL, 0)


def test_batch_is_the_loop(model, key):
    obs = jax.random.normal(key, (5, 3, SMALL.history, 4))
    one_by_one = jnp.stack([jnp.stack([model.encode(o) for o in row]) for row in obs])
    np.testing.assert_allclose(model.encode(obs), one_by_one, rtol=1e-5, atol=1e-5)


def test_untrained_predictor_predicts_no_change(model, key):
    latent, block = jax.random.normal(key, (6, SMALL.latent_size)), jax.random.normal(key, (6, SMALL.action_block, 2))
    np.testing.assert_array_equal(model.predict(latent, block).latent, latent)


def test_blocks_are_concatenated_not_averaged(model, key):
    """Two blocks of the same sum in another order are different futures."""
    model = nnx.clone(model)
    model.predictor.members[0].output.kernel[...] = jnp.ones_like(model.predictor.members[0].output.kernel[...])
    latent, block = jax.random.normal(key, (SMALL.latent_size,)), jnp.asarray([[1.0, 0.0], [-1.0, 0.0]])
    assert not np.allclose(model.predict(latent, block).latent, model.predict(latent, block[::-1]).latent)


def test_joined_inputs_broadcast_and_keep_their_scale(key):
    mlp = MLP((8, 8), 3, 16, 2, nnx.Rngs(0))
    many, goal = jax.random.normal(key, (5, 4, 8)), jax.random.normal(jax.random.key(1), (8,))
    np.testing.assert_allclose(mlp(many, goal), mlp(many, jnp.broadcast_to(goal, many.shape)), rtol=1e-4, atol=1e-5)


def test_distance_is_never_negative_and_nothing_at_the_goal(model, key):
    latents = 10 * jax.random.normal(key, (64, SMALL.latent_size))
    elsewhere = model.distance(latents, latents[::-1])
    assert float(elsewhere.min()) > 0.1
    assert float(model.distance(latents, latents).max()) < 0.05  # environment steps
    assert not np.allclose(elsewhere, model.distance(latents[::-1], latents), rtol=1e-2), "there and back may differ"


def test_constant_feature_stays_finite():
    normalizer = Normalizer(2)
    normalizer.fit(np.asarray([[1.0, 5.0], [3.0, 5.0]], np.float32))
    np.testing.assert_allclose(normalizer(jnp.asarray([[3.0, 6.0]])), [[1.0, 1.0]])
    np.testing.assert_allclose(normalizer.inverse(normalizer(jnp.asarray([[7.0, 2.0]]))), [[7.0, 2.0]])


@pytest.mark.parametrize(
    ("field", "least"), [("history", 1), ("action_block", 1), ("latent_size", 1), ("width", 1), ("train_blocks", 2)]
)
def test_impossible_sizes_are_named(field, least):
    with pytest.raises(
        ValueError, match=rf"model\.{field} must be a whole number from {least} to 1000000; got {least - 1}"
    ):
        replace(SMALL, **{field: least - 1})


def test_frozen_functions_equal_the_module_and_serve_other_weights_without_a_trace(model, key):
    traces = []

    @jax.jit
    def act(frozen, obs, block, goal):
        traces.append(1)
        latent = frozen.encode(frozen.params, obs)
        later = frozen.predict(frozen.params, latent, block).latent
        heads = frozen.heads
        return later, heads.distance(frozen.params, later, goal), heads.probe(frozen.params, later)

    obs, block, goal = jnp.ones((SMALL.history, 4)), jnp.ones((SMALL.action_block, 2)), jnp.ones((SMALL.latent_size,))
    for seed in (0, 1):
        module = create(SMALL, seed)
        later, distance, probe = act(freeze(module, SMALL), obs, block, goal)
        expected = module.predict(module.encode(obs), block).latent
        np.testing.assert_allclose(later, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(distance, module.distance(expected, goal), rtol=1e-4)
        np.testing.assert_allclose(probe, module.probe(expected), rtol=1e-4, atol=1e-5)
    assert len(traces) == 1


def test_frozen_is_a_copy_that_training_on_does_not_change(model):
    frozen = freeze(nnx.clone(model), SMALL)
    module = frozen.module()
    module.encoder.mlp.output.bias[...] = jnp.ones_like(module.encoder.mlp.output.bias[...])
    assert not np.allclose(module.encode(jnp.ones((2, 4))), frozen.encode(frozen.params, jnp.ones((2, 4))))


def test_model_without_probe():
    config = replace(SMALL, probe_size=0)
    assert freeze(create(config, 0), config).heads.probe is None


def test_effective_rank_counts_dimensions(key):
    latents = jax.random.normal(key, (500, 8)) * jnp.asarray([[1.0, 1, 1, 0, 0, 0, 0, 0]])
    assert float(effective_rank(latents)) == pytest.approx(3.0, rel=0.05)


def test_diagnostics_tell_collapse(key):
    run = trainer()
    healthy = diagnose(freeze(run.model(run.init()), SMALL), run.sampler, key, 128)
    assert healthy["horizon_ratio"] == pytest.approx(1.0)  # untrained: predicts no change
    assert healthy["action_sensitivity"] == pytest.approx(1.0)
    dead = run.model(run.init())
    dead.encoder.mlp.output.kernel[...] = jnp.zeros_like(dead.encoder.mlp.output.kernel[...])
    dead.encoder.mlp.output.bias[...] = jnp.ones_like(dead.encoder.mlp.output.bias[...])
    collapsed = diagnose(freeze(dead, SMALL), run.sampler, key, 128)
    assert collapsed["feature_std"] < 1e-6 < healthy["feature_std"]
    assert collapsed["cosine"] == pytest.approx(1.0)
    assert collapsed["rank"] < 1.1 < healthy["rank"]
    assert collapsed["normality"] > 30
    few = spread(freeze(dead, SMALL), run.sampler, key, 128)
    assert few == pytest.approx({name: collapsed[name] for name in few}, rel=0.5, abs=0.1)
