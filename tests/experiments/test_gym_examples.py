"""The examples that stand on Gymnasium, on a small budget."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import envs
from experiments import build
from experiments.examples import evaluate_policy, gymnasium_loop
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

PLANNER = ("planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1", "planner.horizon=9")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=8, width=16, head_width=8)
    path = tmp_path_factory.mktemp("examples") / "two_room.safetensors"
    save_model(path, create(config, 0), config, {"task": envs.make("two_room").describe()})
    return str(path)


def test_a_gymnasium_loop(checkpoint, capsys):
    reached = gymnasium_loop.main(checkpoint, 2, *PLANNER)
    told = capsys.readouterr().out
    assert told.count("episode") == 2 and told.count(": reached") == reached


def test_evaluate_policy_as_stable_baselines_calls_it(checkpoint):
    """The calls that its evaluate_policy makes, in their order, on a vector of one environment."""
    controller = build.controller(checkpoint, *PLANNER)
    env = evaluate_policy.environment(checkpoint, controller)
    observation, info = env.reset(seed=0)
    states, start, episodes, goals = None, np.ones(1, bool), 0, [info["goal"]]
    while episodes < 2:
        actions, states = controller.predict(observation[None], state=states, episode_start=start, deterministic=True)
        assert actions.shape == (1, 2)
        observation, reward, terminated, truncated, info = env.step(actions[0])
        assert terminated == info["success"] == (reward == 1.0)
        start = np.array([terminated or truncated])
        if start[0]:
            episodes += 1
            observation, info = env.reset()
            goals.append(info["goal"])
            latent = controller.engine.begin(env.unwrapped.goal_observation(info["goal"]), 0, 0).goal
            np.testing.assert_array_equal(controller._state.goal, latent)  # it heard of the new goal
    assert not np.array_equal(goals[0], goals[1])


@pytest.mark.skipif(find_spec("stable_baselines3") is None, reason="stable-baselines3 is not installed")
def test_evaluate_policy_itself(checkpoint):
    assert 0.0 <= evaluate_policy.main(checkpoint, 2, *PLANNER) <= 1.0
