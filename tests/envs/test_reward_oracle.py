"""The true dynamics of a reward task, tried beside the episode that is lived in."""

import gymnasium
import numpy as np
import pytest

from envs.registry import make_reward_task
from envs.reward_oracle import RewardOracle, present


@pytest.mark.parametrize(
    ("name", "repeat"), [("gym/Pendulum-v1", 2), ("dmc/cartpole-swingup", 8), ("gym/Hopper-v5", 1)]
)
def test_what_is_foreseen_is_what_is_earned(name, repeat):
    task = make_reward_task(name, repeat)
    oracle = RewardOracle(lambda: make_reward_task(name, repeat))
    rng = np.random.default_rng(0)
    task.reset(3)
    for _ in range(5):
        task.step(rng.uniform(task.low, task.high))
    actions = rng.uniform(task.low, task.high, (4, 6, task.action_size)).astype(np.float32)
    before = present(task)
    foreseen = oracle.returns(present(task), actions)
    assert len(set(foreseen)) == 4
    np.testing.assert_array_equal(oracle.returns(present(task), actions[::-1]), foreseen[::-1])
    for key, value in present(task).items():  # nothing moved
        if key != "physics/derived":  # some of its arrays are no one's memory while there is no contact
            np.testing.assert_array_equal(value, before[key])
    earned = 0.0
    for action in actions[2]:
        step = task.step(action)
        earned += step.reward
        if step.terminated:
            break
    assert earned == foreseen[2]
    oracle.close()


def test_an_end_earns_nothing_more():
    """Pendulum is cut off after 200 steps: candidates that reach beyond earn no more than those that end there."""
    task = make_reward_task("gym/Pendulum-v1", 1)
    oracle = RewardOracle(lambda: make_reward_task("gym/Pendulum-v1", 1))
    task.reset(0)
    for _ in range(197):
        task.step([0.0])
    whole, beyond = (
        oracle.returns(present(task), np.zeros((1, 3, 1))),
        oracle.returns(present(task), np.zeros((1, 9, 1))),
    )
    assert whole == beyond < 0


class Untold(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}


def test_a_task_that_cannot_tell_its_moment_is_refused():
    task = make_reward_task(Untold())
    task.reset(0)
    with pytest.raises(ValueError, match="gym/Untold cannot tell its present moment"):
        present(task)
