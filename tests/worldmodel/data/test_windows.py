from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldmodel.data.windows import WindowSampler

from ..small import episodes

HISTORY, BLOCKS, BLOCK = 3, 2, 2


def drawn(sampler, count):
    """A batch of windows as NumPy arrays."""
    windows = sampler.sample(jax.random.key(0), count)
    return SimpleNamespace(**{name: jax.tree.map(np.asarray, array) for name, array in vars(windows).items()})


def marked(lengths):
    """Episodes whose observations tell episode and step."""
    data = episodes(lengths)
    data.observations[:, 0] = data.first
    data.observations[:, 1] = np.arange(len(data.first)) - data.first
    data.actions[:, 0] = np.arange(len(data.first))
    return data


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6).filter(lambda lengths: max(lengths) >= BLOCKS * BLOCK))
def test_windows_never_cross_an_episode_and_lie_in_order(lengths):
    data = marked(lengths)
    sampler = WindowSampler.of(data, HISTORY, BLOCKS, BLOCK)
    windows = drawn(sampler, 64)
    seen = windows.observations["state"]
    episode, step = seen[..., 0], seen[..., 1]
    assert (episode == episode[:, :1, :1]).all()
    newest = step[..., -1]
    assert (np.diff(newest, axis=1) == BLOCK).all()
    wanted = np.maximum(
        newest[..., None] - np.arange(HISTORY - 1, -1, -1), 0
    )  # the first one repeated before the start
    np.testing.assert_array_equal(step, wanted)
    rows = windows.actions[..., 0].reshape(64, -1)
    np.testing.assert_array_equal(rows, (episode[:, 0, :1] + newest[:, :1]) + np.arange(BLOCKS * BLOCK))
    # Goals: the same episode, as many steps later as the offset says.
    assert (windows.goals["state"][..., 0] == episode[:, 0]).all()
    np.testing.assert_array_equal(windows.goals["state"][:, -1, 1], newest[:, 0] + windows.goal_offset)
    assert (windows.goal_offset >= 0).all()


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(4, 30), min_size=1, max_size=4))
def test_older_moments_come_first_and_a_goal_has_none(lengths):
    older = (9, 6, 4)
    sampler = WindowSampler.of(marked(lengths), HISTORY, BLOCKS, BLOCK, older=older)
    windows = drawn(sampler, 64)
    step = windows.observations["state"][..., 1]
    back = np.array([*older, *range(HISTORY - 1, -1, -1)])
    np.testing.assert_array_equal(step, np.maximum(step[..., -1:] - back, 0))
    assert (windows.observations["state"][..., 0] == windows.observations["state"][:, :1, :1, 0]).all()
    goals = windows.goals["state"][..., 1]
    still = np.array([HISTORY - 1] * len(older) + [*range(HISTORY - 1, -1, -1)])
    np.testing.assert_array_equal(goals, np.maximum(goals[..., -1:] - still, 0))
    plain = drawn(WindowSampler.of(marked(lengths), HISTORY, BLOCKS, BLOCK), 64)  # the same windows otherwise
    np.testing.assert_array_equal(plain.observations["state"], windows.observations["state"][:, :, len(older) :])
    np.testing.assert_array_equal(plain.goals["state"], windows.goals["state"][:, len(older) :])


def test_every_row_that_can_start_a_window_does():
    data = marked([BLOCKS * BLOCK - 1, BLOCKS * BLOCK, BLOCKS * BLOCK + 3])
    sampler = WindowSampler.of(data, HISTORY, BLOCKS, BLOCK)
    second = BLOCKS * BLOCK  # the first episode is too short, and has that many rows
    third = second + BLOCKS * BLOCK + 1
    assert sampler.starts.tolist() == [second, third, third + 1, third + 2, third + 3]


def test_goals_are_near_and_far():
    windows = drawn(WindowSampler.of(marked([200]), 1, 1, 1), 2000)
    share_near = (windows.goal_offset < 10).mean()
    assert 0.2 < share_near < 0.6
    assert (windows.goal_offset > 100).mean() > 0.05


def test_episodes_that_are_too_short_are_named():
    with pytest.raises(ValueError, match=r"the longest has 3 steps \(episode 1\), and a window needs 4"):
        WindowSampler.of(marked([2, 3]), HISTORY, BLOCKS, BLOCK)


def test_episodes_without_a_window_are_named(caplog):
    data = replace(marked([2, 9, 1]), names=("a.npz", "b.npz", "c.npz"))
    WindowSampler.of(data, HISTORY, BLOCKS, BLOCK)
    assert "2 of 3 episodes have fewer than the 4 steps" in caplog.text
    assert "a.npz, c.npz" in caplog.text and "b.npz" not in caplog.text


def test_probe_targets_of_another_length_are_refused():
    with pytest.raises(ValueError, match="5 probe targets for 11 rows"):
        WindowSampler.of(marked([10]), HISTORY, BLOCKS, BLOCK, np.zeros((5, 2)))
