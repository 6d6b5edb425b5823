"""Learning on: all weights and statistics of the model are taken over, and parts that it lacks stay fresh."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from worldmodel.models.begin import begun_with
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.models.tensors import leaves_of, name_of
from worldmodel.training.fit import fit
from worldmodel.training.settings import TrainingConfig

from ..small import SMALL, episodes


def leaves(model):
    return {name_of(path): np.asarray(leaf) for path, leaf in leaves_of(nnx.state(model))}


def started(seed, config=SMALL):
    model = create(config, seed)
    model.encoder.normalizer.fit(np.random.default_rng(seed).normal(seed, 1 + seed, (50, 4)).astype("f4"))
    return model


def test_weights_and_statistics_are_taken_over():
    known, fresh = started(1), started(2)
    taken = leaves(begun_with(fresh, SMALL, freeze(known, SMALL)))
    for name, value in leaves(known).items():
        np.testing.assert_array_equal(taken[name], value)
    assert any(not np.array_equal(taken[name], value) for name, value in leaves(fresh).items())


def test_parts_that_learn_last_may_be_there_or_not():
    more = replace(SMALL, policy=True, leap=2, leap_size=3)
    known, fresh = started(1), started(2, more)
    taken, was, now = leaves(begun_with(fresh, more, freeze(known, SMALL))), leaves(known), leaves(fresh)
    assert set(taken) == set(now) > set(was)
    for name, value in taken.items():
        np.testing.assert_array_equal(value, was.get(name, now[name]))
    back = leaves(begun_with(started(3), SMALL, freeze(begun_with(fresh, more, freeze(known, SMALL)), more)))
    assert set(back) == set(was) and all(np.array_equal(back[name], value) for name, value in was.items())
    other = replace(more, leap_size=4)
    taken = leaves(begun_with(started(4, other), other, freeze(fresh, more)))
    assert {name for name, value in taken.items() if name in now and value.shape != now[name].shape}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latent_size": 16}, "has latent_size=8 and not 16: training goes on with a model of the same sizes"),
        ({"ensemble": 3, "width": 64}, "has width=32 and not 64, ensemble=2 and not 3"),
    ],
)
def test_another_architecture_is_one_sentence(changes, said):
    other = replace(SMALL, **changes)
    with pytest.raises(ValueError, match=said):
        begun_with(create(other, 0), other, freeze(started(1), SMALL))


def test_training_goes_on_from_there():
    sizes = {"updates": 20, "frozen_updates": 10, "critic_updates": 0, "policy_updates": 0}
    rates = {"batch": 16, "critic_batch": 8, "updates_per_call": 10, "learning_rate": 1e-7}
    training = TrainingConfig(**sizes, **rates)
    data, config = episodes([30] * 6), replace(SMALL, probe_size=0)
    known = freeze(started(1, config), config)
    found = fit(data, config, training=training, start=known)
    before, after = leaves(known.module()), leaves(found.module())
    assert all(np.allclose(after[name], value, atol=1e-4) for name, value in before.items())
    scales = [name for name in before if name.startswith("encoder.normalizer")]
    assert len(scales) >= 2 and all(np.array_equal(after[name], before[name]) for name in scales)
    assert any(not np.array_equal(after[name], value) for name, value in before.items())
    assert jax.tree.structure(found.params) == jax.tree.structure(known.params)
