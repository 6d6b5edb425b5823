import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.data.frame_windows import FrameWindows
from worldmodel.observation import ObservationSpec, Sensor
from worldmodel.training.augmentation import kept_sensors, shifted, without

from ..small import pictured

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def data():
    return pictured([40, 40])


@pytest.fixture(scope="module")
def windows(data):
    return FrameWindows.of(data, 3, 2, 2).batches(KEY, jnp.int32(0), 1, 32, 8)


def first(tree):
    return jax.tree.map(lambda values: values[0], tree)


def offset_of(before, after, most):
    """The shift that turns one picture into the other inside the border, as (down, right)."""
    inside = slice(most, -most)
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            if np.array_equal(np.roll(before, (-down, -right), (0, 1))[inside, inside], after[inside, inside]):
                return down, right
    raise AssertionError("no shift")


def test_a_window_and_its_goal_move_together(data, windows):
    before = first(windows)
    after = shifted(before, data.spec, KEY, 2)
    moves = set()
    for row in range(8):
        pictures = [before.observations["pixels"][row].reshape(-1, 16, 16, 3), before.goals["pixels"][row]]
        moved = [after.observations["pixels"][row].reshape(-1, 16, 16, 3), after.goals["pixels"][row]]
        found = {
            offset_of(np.asarray(one), np.asarray(two), 2)
            for whole, other in zip(pictures, moved, strict=True)
            for one, two in zip(whole, other, strict=True)
        }
        assert len(found) == 1
        moves |= found
    assert len(moves) > 3
    np.testing.assert_array_equal(before.observations["proprio"], after.observations["proprio"])


def test_no_shift_is_the_same_batch(data, windows):
    assert shifted(windows, data.spec, KEY, 0) is windows


SPEC = ObservationSpec(
    (
        Sensor("pixels", (8, 8, 3), "uint8", optional=True, features=4),
        Sensor("proprio", (2,), optional=True),
        Sensor("clock", (1,)),
    )
)


def test_sensors_are_left_out_as_a_whole_and_never_the_others():
    kept = np.asarray(kept_sensors(SPEC, 4000, KEY, 0.3))
    pixels, proprio = kept[:, :5], kept[:, 5:8]
    assert (pixels.all(axis=1) | ~pixels.any(axis=1)).all() and (proprio.all(axis=1) | ~proprio.any(axis=1)).all()
    assert kept[:, 8].all()
    assert abs(pixels[:, 0].mean() - 0.7) < 0.03 and abs(proprio[:, 0].mean() - 0.7) < 0.03


def test_something_is_always_left():
    only = ObservationSpec(SPEC.sensors[:2])
    kept = np.asarray(kept_sensors(only, 4000, KEY, 0.9))
    assert kept.any(axis=1).all()


def test_what_is_left_out_is_zero_with_its_flag():
    kept = kept_sensors(SPEC, 16, KEY, 0.5)
    embeddings = jnp.ones((16, 3, SPEC.size), jnp.float32)
    np.testing.assert_array_equal(without(embeddings, kept), np.repeat(np.asarray(kept)[:, None], 3, axis=1))
