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


def touched(lengths, rows):
    data = marked(lengths)
    return data, np.isin(np.arange(data.rows), rows)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(8, 64))
def test_a_share_of_every_beginning_of_a_batch_is_in_contact(share, batch):
    data, contact = touched([60, 60], [30, 31])
    sampler = WindowSampler.of(data, 1, BLOCKS, BLOCK, contact=contact, contact_share=share)
    begin = np.asarray(sampler.draw(jax.random.key(1), batch).begin)
    inside = (begin >= 30 - BLOCKS * BLOCK) & (begin <= 31)
    plain = np.asarray(WindowSampler.of(data, 1, BLOCKS, BLOCK).draw(jax.random.key(1), batch).begin)
    chosen = begin != plain
    assert inside[chosen].all() and (inside.sum() >= round(share * batch))
    for count in range(1, batch + 1):
        assert inside[:count].sum() >= int(share * count) - 1 and chosen[:count].sum() <= share * count + 1.5


def test_every_window_with_a_touched_moment_is_drawn_and_no_other():
    data, contact = touched([20, 20], [0, 30])
    sampler = WindowSampler.of(data, 1, BLOCKS, BLOCK, contact=contact, contact_share=0.5)
    # One window begins at the first moment; those around the other begin up to a whole window before it.
    assert sampler.favoured.tolist() == [0, *range(30 - BLOCKS * BLOCK, 31)]


def test_without_a_share_windows_are_the_same_bits():
    data, contact = touched([20, 20], [30])
    one, other = (WindowSampler.of(data, 2, BLOCKS, BLOCK, **more) for more in ({}, {"contact": contact}))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(
        jax.tree.leaves(one.sample(jax.random.key(0), 32)),
        jax.tree.leaves(other.sample(jax.random.key(0), 32)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_contact_that_nobody_knows_or_that_never_happens_is_one_sentence():
    data, contact = touched([20], [])
    with pytest.raises(ValueError, match="needs to know when something is touched: give contact, or set it to 0"):
        WindowSampler.of(data, 1, BLOCKS, BLOCK, contact_share=0.5)
    with pytest.raises(ValueError, match="and there is none in the data: set it to 0, or record contact"):
        WindowSampler.of(data, 1, BLOCKS, BLOCK, contact=contact, contact_share=0.5)


def test_half_of_what_is_imitated_are_demonstrations():
    data = marked([40, 40, 40])
    demonstrated = np.arange(data.rows) >= 82
    sampler = WindowSampler.of(replace(data, demonstrated=demonstrated), 1, BLOCKS, BLOCK)
    drawn = np.asarray(sampler.draw(jax.random.key(0), 600).begin)
    assert 120 < (drawn >= 82).sum() < 280  # as in the data
    drawn = np.asarray(sampler.to_imitate().draw(jax.random.key(0), 600).begin)
    assert 350 < (drawn >= 82).sum() < 460  # half of them, and a third of the rest
    plain = WindowSampler.of(data, 1, BLOCKS, BLOCK)
    assert plain.to_imitate() is plain
    short = replace(marked([40, 2]), demonstrated=np.arange(44) >= 41)
    with pytest.raises(ValueError, match="no demonstration is long enough to learn from: a window needs 4 steps"):
        WindowSampler.of(short, 1, BLOCKS, BLOCK)
