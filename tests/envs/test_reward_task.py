"""Reward tasks step as the originals do, refuse what cannot be learnt, and go on bit for bit from a snapshot."""

import json
import math
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces, wrappers

from envs import make_reward_task
from envs.reward_task import check_reward_task


class Walk(gymnasium.Env):
    """A point on a line; what goes wrong at step `at` is a test's to say."""

    def __init__(self, observations=None, actions=None, at=10**9, fault=None, length=10**9):
        self.observation_space = observations or spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = actions or spaces.Box(-2.0, 1.0, (1,), np.float32)
        self.at, self.fault, self.length, self.steps, self.seen = at, fault, length, 0, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.place = 0, float(self.np_random.uniform())
        return np.array([self.place, 0.0]), {}

    def step(self, action):
        self.steps += 1
        self.seen.append(action)
        self.place += float(action[0])
        observation, reward = np.array([self.place, self.steps]), float(action[0])
        if self.steps == self.at:
            if self.fault == "raise":
                raise ArithmeticError("the solver gave up")
            observation = {"nan": observation * np.nan, "shape": np.zeros(3)}.get(self.fault, observation)
            reward = np.inf if self.fault == "reward" else reward
        return observation, reward, self.steps >= self.length, False, {}


def original(domain, task):
    from dm_control import suite

    return suite.load(domain, task, task_kwargs={"random": 0})


def actions_of(task, count, seed=0):
    return np.random.default_rng(seed).uniform(task.low, task.high, (count, task.action_size)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "domain", "suite_task", "repeat"),
    [("cup-catch", "ball_in_cup", "catch", 4), ("finger-turn-hard", "finger", "turn_hard", 2)]
    + [("cartpole-swingup", "cartpole", "swingup", 3), ("walker-walk", "walker", "walk", 1)],
)
def test_dm_control_steps_as_the_suite_does(name, domain, suite_task, repeat):
    task = make_reward_task(f"dmc/{name}", repeat)
    env = original(domain, suite_task)
    env.task.random.seed(7)
    first = env.reset().observation
    flat = [np.concatenate([np.ravel(value) for value in first.values()])]
    np.testing.assert_array_equal(task.reset(7), flat[0].astype(np.float32))
    for action in actions_of(task, 20):
        steps = [env.step(action) for _ in range(repeat)]
        expected = np.concatenate([np.ravel(value) for value in steps[-1].observation.values()])
        step = task.step(action)
        np.testing.assert_array_equal(step.observation, expected.astype(np.float32))
        assert step.reward == sum(each.reward for each in steps)
        assert (step.terminated, step.truncated, step.control_steps) == (False, False, repeat)
    assert task.name == f"dmc/{name}" and task.observation_size == flat[0].size
    assert task.control_period == pytest.approx(repeat * env.control_timestep())
    assert task.observation_size == step.observation.size and step.observation.dtype == np.float32


@pytest.mark.parametrize(("repeat", "decisions", "last"), [(2, 500, 2), (300, 4, 100)])
def test_the_time_limit_counts_control_steps(repeat, decisions, last):
    task = make_reward_task("dmc/pendulum-swingup", repeat)
    assert task.episode_steps == 1000
    task.reset(0)
    steps = [task.step([0.0]) for _ in range(decisions)]
    assert [step.truncated for step in steps] == [False] * (decisions - 1) + [True]
    assert not any(step.terminated for step in steps) and steps[-1].control_steps == last
    with pytest.raises(RuntimeError, match="no episode of dmc/pendulum-swingup is running: call reset"):
        task.step([0.0])
    task.reset(0)
    assert not task.step([0.0]).truncated


def test_a_zero_discount_terminates():
    task = make_reward_task("dmc/pendulum-swingup")
    task.reset(0)
    task._task.get_termination = lambda physics: 0.0
    step = task.step([0.0])
    assert (step.terminated, step.truncated) == (True, False)


def test_gymnasium_steps_as_the_original_does():
    task, env = make_reward_task("gym/HalfCheetah-v5", 2), gymnasium.make("HalfCheetah-v5")
    np.testing.assert_array_equal(task.reset(3), env.reset(seed=3)[0].astype(np.float32))
    for action in actions_of(task, 5):
        one, two = env.step(action), env.step(action)
        step = task.step(action)
        np.testing.assert_array_equal(step.observation, two[0].astype(np.float32))
        assert step.reward == one[1] + two[1]
    assert (task.name, task.episode_steps, task.action_size) == ("gym/HalfCheetah-v5", 1000, 6)
    assert task.control_period == pytest.approx(2 * env.unwrapped.dt)
    env.close()


def test_an_environment_of_ones_own():
    env = Walk(length=5)
    task = make_reward_task(env, 2)
    start = task.reset(1)[0]
    assert (task.name, task.episode_steps) == ("gym/Walk", None) and np.isnan(task.control_period)
    step = task.step([-9.0])  # clipped to -2
    np.testing.assert_allclose(step.observation, [start - 4.0, 2.0], rtol=1e-6)
    assert step.reward == -4.0 and [float(action[0]) for action in env.seen] == [-2.0, -2.0]
    task.step([0.0])
    step = task.step([0.5])  # the episode ends between the two
    assert (step.terminated, step.control_steps, step.reward) == (True, 1, 0.5)
    assert make_reward_task(wrappers.TimeLimit(Walk(), 7)).episode_steps == 7


def test_actions_are_checked():
    task = make_reward_task(Walk())
    task.reset(0)
    with pytest.raises(ValueError, match=r"the action has shape \(2,\), but gym/Walk takes \(1,\)"):
        task.step([0.0, 0.0])
    with pytest.raises(ValueError, match="the action holds a value that is not finite"):
        task.step([np.nan])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (spaces.Discrete(3), "continuous version"),
        (spaces.Box(0, 9, (2,), np.int64), "a Box of real numbers"),
        (spaces.Box(-np.inf, 1.0, (2,)), "finite bounds.*TransformAction"),
        (spaces.Box(1.0, 1.0, (2,)), "room between them"),
    ],
)
def test_actions_that_cannot_be_planned(actions, message):
    with pytest.raises(ValueError, match=message):
        make_reward_task(Walk(actions=actions))


@pytest.mark.parametrize(
    "observations", [spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Dict({"text": spaces.Text(5)})]
)
def test_observations_that_are_no_vectors(observations):
    with pytest.raises(ValueError, match=r"gymnasium\.wrappers\.FilterObservation"):
        make_reward_task(Walk(observations=observations))


def test_what_the_refusals_name_helps():
    bounded = wrappers.TransformAction(
        Walk(actions=spaces.Box(-np.inf, np.inf, (1,))), lambda action: action, spaces.Box(-1.0, 1.0, (1,))
    )
    assert make_reward_task(bounded).high == [1.0]
    flat = wrappers.FlattenObservation(Walk(observations=spaces.Box(-1, 1, (2, 3), np.float32)))
    assert make_reward_task(flat).observation_size == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("walker-walk", "write 'dmc/<domain>-<task>'"),
        ("dmc/walker-wolk", "did you mean dmc/walker-walk"),
        ("dmc/chess-win", "the tasks are .*cup-catch.*cartpole-balance-sparse"),
        ("dmc/lqr-lqr-2-1", "have no bounds"),
        ("gym/HalfCheeta-v5", "did you mean gym/HalfCheetah-v5"),
        ("gym/HalfCheetah-v99", "did you mean gym/HalfCheetah-v5"),
        ("gym/CartPole-v1", "Discrete"),
    ],
)
def test_names_that_do_not_fit(name, message):
    with pytest.raises(ValueError, match=message):
        make_reward_task(name)


@pytest.mark.parametrize("name", ["point_mass-easy", "ball_in_cup-catch", "cartpole-balance_sparse"])
def test_the_suites_own_names(name):
    expected = {"ball_in_cup-catch": "cup-catch", "cartpole-balance_sparse": "cartpole-balance-sparse"}
    assert make_reward_task(f"dmc/{name}").name == f"dmc/{expected.get(name, name)}"


def test_a_missing_package(monkeypatch):
    with pytest.raises(ImportError, match="gym/no_such_package:Thing-v0 names the module 'no_such_package'"):
        make_reward_task("gym/no_such_package:Thing-v0")
    for module in [name for name in sys.modules if name.partition(".")[0] == "dm_control"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "dm_control", None)
    with pytest.raises(ImportError, match="pip install dm_control"):
        make_reward_task("dmc/walker-walk")


@pytest.mark.parametrize("repeat", [0, 1.5, True])
def test_action_repeat_is_a_whole_number(repeat):
    with pytest.raises((ValueError, TypeError), match="action_repeat"):
        make_reward_task(Walk(), repeat)


def stored(snapshot):
    """Through JSON for its words and through bytes for its arrays, as a checkpoint would."""
    words = {name: value for name, value in snapshot.items() if not isinstance(value, np.ndarray)}
    arrays = {name: value for name, value in snapshot.items() if isinstance(value, np.ndarray)}
    copies = {name: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for name, a in arrays.items()}
    return {**json.loads(json.dumps(words)), **copies}


def trace(task, actions):
    """Everything that the steps give, bit for bit; the episodes after the first are the environment's own draw."""
    rows = []
    for action in actions:
        step = task.step(action)
        rows.append((step.observation.tobytes(), step.reward, step.terminated, step.truncated))
        if step.terminated or step.truncated:
            rows.append(task.reset().tobytes())
    return rows


SNAPSHOTS = ["dmc/walker-walk", "dmc/cup-catch", "dmc/finger-spin", "dmc/reacher-hard", "dmc/cartpole-swingup"]
SNAPSHOTS += ["gym/HalfCheetah-v5", "gym/Ant-v5", "gym/Hopper-v5", "gym/Reacher-v5", "gym/Pendulum-v1"]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_snapshot_goes_on_bit_for_bit(name):
    task, other = make_reward_task(name, 2), make_reward_task(name, 2)
    task.reset(5)
    trace(task, actions_of(task, 23))
    snapshot = stored(task.snapshot())
    ahead = actions_of(task, 100, seed=1)
    expected = trace(task, ahead)
    other.reset(6)
    trace(other, ahead[:3])
    other.restore(snapshot)
    assert trace(other, ahead) == expected
    assert other.reset().tobytes() == task.reset().tobytes()  # and so does the random stream
    other.close()
    task.close()


def test_snapshots_that_cannot_be():
    walk = make_reward_task(Walk())
    walk.reset(0)
    assert walk.snapshot() is None
    with pytest.raises(ValueError, match="gym/Walk cannot go on from a snapshot"):
        walk.restore({})
    task = make_reward_task("dmc/pendulum-swingup")
    task.reset(0)
    with pytest.raises(ValueError, match="made with mujoco 1, but this is mujoco"):
        task.restore({**task.snapshot(), "versions": "mujoco 1"})
    flat = make_reward_task(wrappers.FlattenObservation(gymnasium.make("Pendulum-v1")))
    flat.reset(0)
    bare = make_reward_task("gym/Pendulum-v1")
    with pytest.raises(ValueError, match="made with FlattenObservation"):
        bare.restore(flat.snapshot())


def test_check_passes_and_names_what_is_wrong():
    check_reward_task(make_reward_task("gym/Pendulum-v1"), steps=210)
    check_reward_task(make_reward_task(Walk(length=3)), steps=10)
    for fault, error, message in [
        ("nan", ValueError, r"the observation of gym/Walk at step 4 is not finite at places \[0, 1\]"),
        ("reward", ValueError, "the reward of gym/Walk at step 4 is inf"),
        ("raise", RuntimeError, "raised ArithmeticError at step 4: the solver gave up"),
        ("shape", RuntimeError, r"has shape \(3,\), but its observation_space says \(2,\)"),
    ]:
        with pytest.raises(error, match=message):
            check_reward_task(make_reward_task(Walk(at=5, fault=fault)), steps=10)


class Unseeded(Walk):
    """One that begins anywhere, whatever the seed."""

    def __init__(self):
        super().__init__()
        self.own = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = float(self.own.uniform())
        return np.array([self.place, 0.0]), {}


def test_check_says_where_the_seed_of_reset_is_ignored(caplog):
    check_reward_task(make_reward_task(Walk()), steps=5)
    assert not caplog.records
    check_reward_task(make_reward_task(Unseeded()), steps=5)
    assert "gym/Unseeded ignores the seed of reset: two resets with seed 0 begin at different" in caplog.text


def test_check_tells_what_random_decisions_earned():
    tried = check_reward_task(make_reward_task(Walk(length=4)), steps=10)
    assert tried.ended.tolist() == [False, False, False, True] * 2 + [False, False]
    assert tried.rewards.shape == (10,) and np.ptp(tried.rewards) > 0


@pytest.mark.parametrize("dt", [None, True, 0.0, math.inf, "0.05", np.float32(0.25)])
def test_a_control_period_is_known_given_or_unknown_but_never_invented(dt, caplog):
    env = Walk()
    if dt is not None:
        env.dt = dt
    known = isinstance(dt, np.floating)
    period = make_reward_task(env, 2).control_period
    assert period == 0.5 if known else math.isnan(period)
    assert "control_period" in make_reward_task(env).describe() or not known
    assert make_reward_task(env, 2, control_period=0.1).control_period == 0.1
    words = "gym/Walk says 500 ms from one decision to the next, and control_period=0.1 counts instead"
    assert (words in caplog.text) is known
    with pytest.raises(ValueError, match="control_period must be positive seconds; got -1"):
        make_reward_task(env, control_period=-1.0)
