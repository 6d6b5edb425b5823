import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.models.freeze import freeze, freeze_reward_model
from worldmodel.models.goal_model import create
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.nets.encoders.build import sized
from worldmodel.nets.encoders.memory import lags

from ..small import SMALL, pictured

PAST = {"history": 3, "memory": 2, "memory_stride": 4}
PICTURED = sized(pictured([3]).spec, "components", 8)


def goal_model():
    config = dataclasses.replace(SMALL, observation=PICTURED, pictures="components", probe_size=0, **PAST)
    return freeze(create(config, 0), config)


def reward_model():
    config = RewardModelConfig(PICTURED, 2, 16, 4, 16, 16, 16, 16, pictures="components", **PAST)
    return freeze_reward_model(tuple(jax.tree.leaves(nnx.state(config.create(0)))), config)


def test_lags_are_the_last_moments_and_older_ones():
    assert lags(3, 0, 2) == (2, 1, 0)
    assert lags(3, 2, 4) == (10, 6, 2, 1, 0)
    assert lags(1, 3, 1) == (3, 2, 1, 0)


@pytest.mark.parametrize("made", [goal_model, reward_model])
def test_a_latent_is_made_of_the_moments_at_its_lags_alone(made):
    model = made()
    assert (model.history, model.lags) == (11, (10, 6, 2, 1, 0))
    whole = jax.random.normal(jax.random.key(0), (model.history, model.embedding_size))
    encode = jax.jit(model.encode)
    latent = encode(model.params, whole)
    places = [model.history - 1 - lag for lag in model.lags]
    np.testing.assert_array_equal(encode(model.params, whole[jnp.asarray(places)]), latent)

    def change(place):
        return float(jnp.abs(encode(model.params, whole.at[place].add(1.0)) - latent).max())

    assert [place for place in range(model.history) if change(place) > 0] == places


def test_another_number_of_moments_is_refused():
    model = goal_model()
    with pytest.raises(ValueError, match="needs 11 consecutive moments, or the 5 among them that it is made of; got 3"):
        model.encode(model.params, jnp.zeros((3, model.embedding_size)))


def test_limits_name_the_setting():
    for name, value in (("memory", 17), ("memory", -1), ("memory_stride", 0), ("memory_stride", 101)):
        with pytest.raises(ValueError, match=f"model.{name} must be a whole number from"):
            dataclasses.replace(SMALL, **{name: value})


def test_without_memory_nothing_is_added():
    """The names and the initial values of the weights are those of a model that has no such setting."""
    plain, more = (create(dataclasses.replace(SMALL, memory_stride=stride), 0) for stride in (2, 7))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(nnx.state(plain))]
    assert not any("memory" in name for name in names)
    for one, other in zip(jax.tree.leaves(nnx.state(plain)), jax.tree.leaves(nnx.state(more)), strict=True):
        np.testing.assert_array_equal(one, other)
