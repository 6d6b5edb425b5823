import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.data.frame_windows import FrameWindows
from worldmodel.data.windows import WindowSampler

from ..small import pictured

SHAPE = (3, 2, 2)  # history, blocks and action block


@pytest.fixture(scope="module")
def data():
    return pictured([12, 9, 30])


@pytest.fixture(scope="module")
def both(data):
    return WindowSampler.of(data, *SHAPE), FrameWindows.of(data, *SHAPE)


def same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_is_the_one_that_vectors_get(both):
    vectors, frames = both
    key = jax.random.key(3)
    same(frames.sample(key, 16), vectors.sample(key, 16))


def test_older_moments_are_those_that_vectors_get(data):
    older = (7, 4)
    vectors, frames = WindowSampler.of(data, *SHAPE, older=older), FrameWindows.of(data, *SHAPE, older=older)
    same(frames.sample(jax.random.key(3), 16), vectors.sample(jax.random.key(3), 16))


def test_batches_follow_from_key_and_update(both):
    vectors, frames = both
    key = jax.random.key(3)
    found = frames.batches(key, jnp.int32(7), 4, 16, 16)
    for number in range(4):
        batch_key, _ = jax.random.split(jax.random.fold_in(key, 7 + number))
        same(jax.tree.map(lambda values, at=number: values[at], found), vectors.sample(batch_key, 16))


def test_only_some_goals_have_pictures(both):
    _, frames = both
    key = jax.random.key(3)
    few, all_ = frames.batches(key, jnp.int32(0), 2, 16, 5), frames.batches(key, jnp.int32(0), 2, 16, 16)
    same(few.observations, all_.observations)
    same(few.goals, {name: values[:, :5] for name, values in all_.goals.items()})


def test_pictures_stay_where_they_are(data, both):
    assert both[1].frames["pixels"] is data.readings["pixels"]
    assert set(both[1].windows.observations) == {"proprio"}


@pytest.mark.parametrize("chunk", [7, 1000])
def test_every_moment_is_embedded_once_in_order(data, both, monkeypatch, chunk):
    monkeypatch.setattr("worldmodel.data.frame_windows._EMBEDDED", chunk)

    def embed(readings):
        mean = readings["pixels"].astype(jnp.float32).reshape(len(readings["pixels"]), -1)[:, :3]
        return jnp.concatenate([mean, readings["proprio"]], axis=-1)

    found = both[1].embeddings(embed)
    np.testing.assert_array_equal(found, embed({name: jnp.asarray(values) for name, values in data.readings.items()}))
