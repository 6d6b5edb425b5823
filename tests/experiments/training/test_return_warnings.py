"""An evaluation says where its rows would not mean what they claim: other starts, or actions that were clipped."""

import gymnasium
import numpy as np
from gymnasium import spaces

from experiments.evaluation.rewards.returns import evaluate_returns


class Line(gymnasium.Env):
    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Box(-0.5, 0.5, (1,), np.float32)

    def __init__(self, seeded=True):
        self.seeded, self.own = seeded, np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, rng = 0, self.np_random if self.seeded else self.own
        return rng.normal(size=1).astype(np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), float(action[0]), self.steps == 3, False, {}


class Constant:
    def __init__(self, action):
        self.action = np.array([action], np.float32)

    def predict(self, observation, deterministic=True):
        return self.action, None


def test_a_seed_that_is_ignored_is_told(caplog):
    evaluate_returns(Line, Constant(0.5), 2, 0)
    assert not caplog.records
    evaluate_returns(lambda: Line(seeded=False), Constant(0.1), 2, 0)
    assert "the environment ignores the seed of reset, so policies are not measured from the same" in caplog.text


def test_actions_that_were_clipped_are_told(caplog):
    np.testing.assert_allclose(evaluate_returns(Line, Constant(9.0), 2, 0), [1.5, 1.5])
    assert "6 actions of the policy lay outside of the environment's bounds and were clipped" in caplog.text
