"""Returns of policies; the baselines on rewards where their extra is installed."""

from __future__ import annotations

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from experiments.baselines import sbx
from experiments.baselines.reward_env import RewardEnv
from experiments.baselines.sbx import SbxConfig
from experiments.evaluation.rewards.returns import add_policy, evaluate_returns
from experiments.records import curves, table_file

needs_extra = pytest.mark.skipif(not sbx.installed(), reason="the extra `baselines` (sbx, torch) is not installed")
TASK, MANIFEST = "gym/Pendulum-v1", {"command": "a test"}


def pendulum():
    return gymnasium.make("Pendulum-v1")


class Swing:
    """Pump energy, then balance: written by hand."""

    def predict(self, observation, deterministic=True):
        assert deterministic
        cos, sin, speed = observation
        angle = np.arctan2(sin, cos)
        energy = speed**2 / 2 + 15 * (cos - 1)
        pump = -0.5 * np.sign(speed) * energy if abs(angle) > 0.6 else -16 * angle - 4 * speed
        return np.clip(np.array([pump], np.float32), -2, 2), None


class Still:
    def predict(self, observation, deterministic=True):
        return np.zeros(1, np.float32), None


class Line(gymnasium.Env):
    """Three steps; the reward is the action as it arrives."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-0.5, 0.5, (1,))
    ends = True

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), float(action[0]), self.ends and self.steps == 3, False, {}


class Constant:
    def __init__(self, *action):
        self.action = np.array(action, np.float32)

    def predict(self, observation, deterministic=True):
        return self.action, None


def test_a_better_policy_returns_more_on_the_same_starts():
    swing, still = (evaluate_returns(pendulum, policy, 6, seed=0) for policy in (Swing(), Still()))
    assert swing.shape == (6,) and (swing > still).mean() >= 5 / 6 and swing.mean() > -400 > still.mean()
    np.testing.assert_array_equal(swing, evaluate_returns(pendulum, Swing(), 6, seed=0))
    assert not np.array_equal(swing, evaluate_returns(pendulum, Swing(), 6, seed=1))
    assert len(set(swing)) == 6


def test_returns_are_sums_and_actions_stay_within_bounds():
    np.testing.assert_allclose(evaluate_returns(Line, Constant(0.25), 2, 0), [0.75, 0.75])
    np.testing.assert_allclose(evaluate_returns(Line, Constant(9.0), 1, 0), [1.5])


def test_a_policy_of_ones_own_enters_the_table(tmp_path):
    table = tmp_path / "curves.csv"
    add_policy(table, "swing", TASK, pendulum, Swing(), MANIFEST, episodes=2, env_steps=5000)
    (row,) = curves.read(table)
    assert (row.method, row.task, row.env_steps, row.gradient_steps, row.wall_s) == ("swing", TASK, 5000, None, None)
    assert row.mean_return == pytest.approx(evaluate_returns(pendulum, Swing(), 2, 0).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("make_env", "policy", "message"),
    [
        (Line, Constant(0.0, 0.0), r"shape \(2,\); the environment takes \(1,\)"),
        (Line, Constant(float("nan")), "the policy's action is not finite at step 0"),
        (lambda: gymnasium.make("CartPole-v1"), Still(), "the action space must be a Box.*got Discrete"),
        (lambda: gymnasium.make("Blackjack-v1"), Still(), "the observation space must be a Box; got Tuple"),
    ],
)
def test_what_does_not_fit_is_told(make_env, policy, message):
    with pytest.raises(ValueError, match=message):
        evaluate_returns(make_env, policy, 1, 0)


def test_an_environment_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(Line, "step", lambda self, action: (np.zeros(1), float("nan"), False, False, {}))
    with pytest.raises(ValueError, match="reward is not finite at step 0"):
        evaluate_returns(Line, Constant(0.0), 1, 0)
    monkeypatch.undo()
    monkeypatch.setattr(Line, "ends", False)
    monkeypatch.setattr("experiments.evaluation.episodes.LONGEST", 50)
    monkeypatch.setattr("experiments.evaluation.rewards.returns.LONGEST", 50)
    with pytest.raises(ValueError, match="went on for 50 decisions: limit it"):
        evaluate_returns(Line, Constant(0.0), 1, 0)
    with pytest.raises(ValueError, match="one episode or more; got 0"):
        evaluate_returns(Line, Constant(0.0), 0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "dqn"}, "algorithm must be one of sac, ppo; got 'dqn'"),
        ({"episodes": 0}, "episodes must be positive; got 0"),
        ({"steps": 1001}, "steps must be a multiple of evaluate_every"),
        ({"action_repeat": 3}, "steps must be a multiple of evaluate_every, and that one of action_repeat"),
    ],
)
def test_settings_that_cannot_work_are_told(tmp_path, change, message):
    config = SbxConfig(**{"steps": 1000, "evaluate_every": 100, **change})
    with pytest.raises(ValueError, match=message):
        sbx.train(tmp_path / "curves.csv", config, TASK, pendulum, 0, MANIFEST)


def test_without_the_extra_the_mend_is_told_and_no_row_is_lost(tmp_path, monkeypatch):
    table = tmp_path / "curves.csv"
    add_policy(table, "sac", TASK, pendulum, Still(), MANIFEST, episodes=1)
    monkeypatch.setattr(sbx, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"the baseline sac needs .*pip install sbx-rl stable-baselines3"):
        sbx.train(table, SbxConfig(steps=200, evaluate_every=100), TASK, pendulum, 0, MANIFEST)
    assert len(curves.read(table)) == 1
    # Complete already: nothing is needed.
    add_policy(table, "sac", TASK, pendulum, Still(), MANIFEST, episodes=1, env_steps=200)
    sbx.train(table, SbxConfig(steps=200, evaluate_every=100), TASK, pendulum, 0, MANIFEST)


@needs_extra
@pytest.mark.filterwarnings("ignore")  # of other people's packages
@pytest.mark.parametrize(
    ("algorithm", "settings", "gradient_steps"),
    [
        ("sac", {"learning_starts": 50, "policy_kwargs": {"net_arch": [8]}}, [0, 0, 49]),
        ("ppo", {"n_steps": 32, "batch_size": 16, "n_epochs": 3, "policy_kwargs": {"net_arch": [8]}}, [0, 6, 18]),
    ],
)
def test_rows_come_as_it_learns_and_an_interrupted_seed_begins_anew(
    tmp_path, monkeypatch, algorithm, settings, gradient_steps
):
    import jax

    jax.config.update("jax_numpy_rank_promotion", "allow")  # sbx was written without these
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    table = tmp_path / "curves.csv"
    config = SbxConfig(algorithm, 200, 100, episodes=1, action_repeat=2, settings=settings)
    append, rows = curves.append, []

    def append_and_stop(path, row, manifest):
        append(path, row, manifest)
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(curves, "append", append_and_stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            sbx.train(table, config, TASK, pendulum, 3, MANIFEST)
        assert [row.env_steps for row in curves.read(table)] == [0, 100]
        sbx.train(table, config, TASK, pendulum, 3, MANIFEST)
    finally:
        jax.config.update("jax_numpy_rank_promotion", "raise")
        jax.config.update("jax_numpy_dtype_promotion", "strict")
    found = curves.read(table)
    assert [row.env_steps for row in found] == [0, 100, 200] and len(rows) == 5
    assert {(row.method, row.seed, row.action_repeat) for row in found} == {(algorithm, 3, 2)}
    assert [row.gradient_steps for row in found] == gradient_steps
    (entry,) = table_file.read_beside(table)
    assert entry["manifest"]["versions"]["sbx-rl"] and entry["manifest"]["baseline"]["action_repeat"] == 2
    times = [row.wall_s for row in found]
    assert times[0] == 0 and times[0] < times[1] < times[2]
    assert np.isfinite([row.mean_return for row in found]).all()
    sbx.train(table, config, TASK, pendulum, 3, MANIFEST)  # complete: nothing is done again
    assert len(rows) == 5


class Walk:
    """A reward task: the reward of a decision is its action, twice; an episode has as many decisions as its seed."""

    observation_size, low, high = 2, np.array([-1.0], np.float32), np.array([1.0], np.float32)

    def reset(self, seed=None):
        self.left = 3 if seed is None else 1 + seed % 4
        return np.zeros(2, np.float32)

    def step(self, action):
        self.left -= 1
        return SimpleNamespace(
            observation=np.full(2, self.left, np.float32),
            reward=2 * action[0],
            terminated=False,
            truncated=self.left == 0,
        )


@pytest.mark.filterwarnings("ignore:.*A Box observation space m")
def test_a_reward_task_is_a_gymnasium_environment():
    env = RewardEnv(Walk())
    check_env(env, skip_render_check=True)
    _, _ = env.reset(seed=5)
    assert env.step(np.array([0.5], np.float32))[1:4] == (1.0, False, False)
    assert env.step(np.array([0.5], np.float32))[1:4] == (1.0, False, True)
    returns = evaluate_returns(lambda: RewardEnv(Walk()), Constant(0.5), 8, 0)
    assert set(returns) <= {1.0, 2.0, 3.0, 4.0} and len(set(returns)) > 1
