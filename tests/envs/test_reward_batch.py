"""Batches keep their rows straight: across episodes, across faults, and across a kill."""

import json
import logging

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from envs.registry import make_reward_task
from envs.reward_batch import RewardBatch


class Count(gymnasium.Env):
    """Observes [draw of the episode, step of the episode]; ends after `length` steps; fails as `faults` says.

    `faults` maps the number of the environment made to (step, what goes wrong there); step 0 is the reset.
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, length=4, fault=(None, None)):
        self.length, self.fault, self.closed = length, fault, False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.draw, self.steps = self.np_random.uniform(), 0
        return self._observe(), {}

    def step(self, action):
        self.steps += 1
        reward = np.nan if self.fault == (self.steps, "reward") else 1.0 + float(action[0])
        return self._observe(), reward, self.steps == self.length, False, {}

    def _observe(self):
        if self.fault == (self.steps, "raise"):
            raise ArithmeticError("the solver gave up")
        bad = {"nan": np.nan, "huge": 1e300}.get(self.fault[1], 0.0) if self.fault[0] == self.steps else 0.0
        return np.array([self.draw + bad, self.steps])

    def close(self):
        self.closed = True
        raise RuntimeError("cannot even close")


def factory(faults=None, length=4, repeat=1):
    """Makes environments; `made` is the list of them."""
    made = []

    def make():
        made.append(Count(length, (faults or {}).get(len(made), (None, None))))
        return make_reward_task(made[-1], repeat)

    make.made = made
    return make


def zeros(batch):
    return np.zeros((batch.count, batch.task.action_size))


def test_rows_across_episodes():
    batch = RewardBatch(factory(length=4), 2, seed=0)
    rows = [batch.step([[0.5], [-3.0]]) for _ in range(9)]
    first = batch.observations.copy()
    for before, after in zip(rows, rows[1:], strict=False):
        ended = before.terminated
        np.testing.assert_array_equal(before.next_observations[~ended], after.observations[~ended])
        assert (after.observations[ended, 1] == 0).all() and (before.next_observations[ended, 1] == 4).all()
        assert (before.next_observations[ended, 0] != after.observations[ended, 0]).all()
    assert [row.terminated.all() for row in rows] == [i % 4 == 3 for i in range(9)]
    np.testing.assert_array_equal(rows[0].actions, [[0.5], [-1.0]])
    np.testing.assert_array_equal(rows[3].returns, [6.0, 0.0])
    np.testing.assert_array_equal(rows[3].lengths, [4, 4])
    assert np.isnan(rows[2].returns).all() and not rows[2].lengths.any()
    np.testing.assert_array_equal(rows[8].next_observations, first)
    assert batch.env_steps == 18 and not any(row.dropped.any() or row.truncated.any() for row in rows)
    assert rows[0].observations.dtype == rows[0].rewards.dtype == np.float32


def test_action_repeat_and_control_steps():
    batch = RewardBatch(factory(length=5, repeat=2), 1, seed=0)
    rows = [batch.step(zeros(batch)) for _ in range(3)]
    assert [int(row.control_steps[0]) for row in rows] == [2, 2, 1] and batch.env_steps == 5
    assert rows[2].lengths[0] == 5 and rows[2].returns[0] == 5.0


def test_rows_handed_out_stay_as_they_were():
    batch = RewardBatch(factory(), 2, seed=0)
    seen = batch.observations
    kept = seen.copy()
    row = batch.step(zeros(batch))
    batch.step(zeros(batch))
    np.testing.assert_array_equal(seen, kept)
    np.testing.assert_array_equal(row.observations, kept)


def test_episodes_have_seeds_of_their_own():
    def draws(count, **settings):
        batch = RewardBatch(factory(length=1), count, **settings)
        return {float(draw) for _ in range(5) for draw in batch.step(zeros(batch)).observations[:, 0]}

    collect = draws(3, seed=0)
    assert len(collect) == 15 and collect == draws(3, seed=0)
    assert not collect & draws(3, seed=0, stream="evaluate") and not collect & draws(3, seed=1)
    with pytest.raises(ValueError, match="there is no random stream 'train'"):
        RewardBatch(factory(), 1, seed=0, stream="train")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("raise", "raised ArithmeticError"),
        ("nan", "gave an observation that is not finite"),
        ("huge", "gave an observation that is not finite"),
        ("reward", "gave a reward that is not finite"),
    ],
)
def test_a_spoilt_episode_is_taken_back(fault, kind, caplog):
    make = factory({1: (3, fault), 2: (2, fault)}, length=4)  # environment 1, and what replaces it
    batch = RewardBatch(make, 2, seed=0)
    buffers = [[], []]
    with caplog.at_level(logging.WARNING):
        for _ in range(12):
            row = batch.step(zeros(batch))
            assert all(np.isfinite(value).all() for name, value in row._asdict().items() if name != "returns")
            for index, buffer in enumerate(buffers):
                buffer.append((row.observations[index], row.next_observations[index], bool(row.terminated[index])))
                del buffer[len(buffer) - int(row.dropped[index]) :]
    assert [len(buffer) for buffer in buffers] == [12, 12 - 3 - 2]
    for buffer in buffers:  # what is left are whole episodes, and the one that is running
        steps = [int(before[1]) for before, _, _ in buffer]
        assert steps == [i % 4 for i in range(len(buffer))]
        assert [ended for _, _, ended in buffer] == [step == 3 for step in steps]
        assert all(before[0] == after[0] for before, after, _ in buffer)
    assert (batch.dropped_episodes, batch.dropped_steps, dict(batch.faults)) == (2, 5, {kind: 2})
    said = [record.message for record in caplog.records]
    assert len(said) == 1 and f"gym/Count {kind} at decision 3" in said[0]
    assert [env.closed for env in make.made] == [False, True, True, False]
    assert batch.env_steps == 24


def test_a_start_that_fails_is_tried_anew(caplog):
    batch = RewardBatch(factory({0: (0, "raise"), 1: (0, "nan")}), 1, seed=0)
    assert sum(batch.faults.values()) == 2 and batch.dropped_steps == 0
    assert not batch.step(zeros(batch)).dropped.any() and len(caplog.records) == 2


def test_ten_faults_in_a_row_are_too_many():
    batch = RewardBatch(factory({made: (2, "raise") for made in range(1, 99)}), 2, seed=0)
    with pytest.raises(
        RuntimeError, match=r"gym/Count raised ArithmeticError at decision 2 \(the solver gave up\)"
    ) as e:
        for _ in range(30):
            batch.step(zeros(batch))
    assert "10 episodes of environment 1 in a row" in str(e.value) and isinstance(e.value.__cause__, ArithmeticError)
    assert batch.dropped_episodes == 10
    with pytest.raises(RuntimeError, match="in a row"):
        RewardBatch(factory({made: (0, "nan") for made in range(99)}), 1, seed=0)


def test_a_good_episode_between_faults_forgives_them():
    make = factory({made: (2, "raise") for made in range(0, 99, 2)})  # every other one that is made
    batch = RewardBatch(make, 1, seed=0)
    for _ in range(120):
        if batch.step(zeros(batch)).terminated[0]:
            batch.tasks[0].env.fault = (2, "raise")
    assert batch.dropped_episodes > 10


def test_what_a_batch_refuses():
    batch = RewardBatch(factory(), 2, seed=0)
    with pytest.raises(ValueError, match=r"shape \(1, 1\), but 2 environments of gym/Count take \(2, 1\)"):
        batch.step([[0.0]])
    with pytest.raises(ValueError, match=r"the actions of environments \[1\] are not finite"):
        batch.step([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="count is 0"):
        RewardBatch(factory(), 0, seed=0)
    env = Count()
    with pytest.raises(ValueError, match="it has to make a new one at every call"):
        RewardBatch(lambda: make_reward_task(env), 2, seed=0)


def stored(snapshot):
    """Through JSON for its words and through bytes for its arrays, as a checkpoint would."""
    words = {name: value for name, value in snapshot.items() if not isinstance(value, np.ndarray)}
    arrays = {name: value for name, value in snapshot.items() if isinstance(value, np.ndarray)}
    copies = {name: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for name, a in arrays.items()}
    return {**json.loads(json.dumps(words)), **copies}


@pytest.mark.parametrize(("name", "repeat"), [("dmc/cup-catch", 40), ("gym/Hopper-v5", 2)])
def test_a_batch_resumes_bit_for_bit(name, repeat):
    """Both lengths of episodes end several times within the steps compared."""

    def batch():
        return RewardBatch(lambda: make_reward_task(name, repeat), 2, seed=3)

    whole, later = batch(), batch()
    actions = np.random.default_rng(0).uniform(-1, 1, (60, 2, whole.task.action_size))
    for action in actions[:11]:
        whole.step(action)
    assert later.restore(stored(whole.snapshot())).tolist() == [True, True]
    ended = 0
    for action in actions[11:]:
        one, two = whole.step(action), later.step(action)
        for name_, value in one._asdict().items():
            np.testing.assert_array_equal(value, getattr(two, name_), err_msg=name_)
        np.testing.assert_array_equal(whole.observations, later.observations)
        ended += int((one.terminated | one.truncated).sum())
    assert ended >= 2 and whole.env_steps == later.env_steps > 0
    later.close()
    whole.close()


def test_what_cannot_be_resumed_begins_a_new_episode(caplog):
    whole, later = RewardBatch(factory(), 2, seed=0), RewardBatch(factory(), 2, seed=0)
    for _ in range(6):
        before = whole.step(zeros(whole))
    draws = set(before.observations[:, 0].tolist())
    with caplog.at_level(logging.WARNING):
        assert later.restore(stored(whole.snapshot())).tolist() == [False, False]
    assert "environment 1 of gym/Count begins a new episode: its state cannot be stored" in caplog.text
    assert (later.observations[:, 1] == 0).all() and not draws & set(later.observations[:, 0].tolist())
    rows = [later.step(zeros(later)) for _ in range(4)]
    assert rows[-1].lengths.tolist() == [4, 4] and later.env_steps == 12 + 8


def test_other_versions_begin_a_new_episode(caplog):
    batch = RewardBatch(lambda: make_reward_task("gym/Pendulum-v1"), 2, seed=0)
    assert batch.restore({**batch.snapshot(), "env1/versions": "older ones"}).tolist() == [True, False]
    assert "was made with older ones, but this is mujoco" in caplog.text


@pytest.mark.parametrize(
    ("what", "other"),
    [("count", {"count": 1}), ("seed", {"seed": 1}), ("stream", {"stream": "evaluate"})],
)
def test_snapshots_of_other_batches(what, other):
    settings = {"count": 2, "seed": 0, "stream": "collect"}
    batch = RewardBatch(factory(), **settings)
    with pytest.raises(ValueError, match=f"taken with {what} .* build it as it was then"):
        RewardBatch(factory(), **{**settings, **other}).restore(batch.snapshot())
    with pytest.raises(ValueError, match="taken with action_repeat 1, but this batch has 2"):
        RewardBatch(factory(repeat=2), **settings).restore(batch.snapshot())
