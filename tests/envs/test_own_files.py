"""Environments in a file of a user's own, by `MODULE:ID`, and observations that are dictionaries."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.behaviours import ColouredNoise
from envs.collect import collect
from envs.registry import make_reward_task
from envs.strokes import Strokes
from worldmodel.data.dataset import load

FILE = """
import gymnasium
import numpy as np

POINT = gymnasium.spaces.Box(-2.0, 2.0, (2,), np.float64)


class Cart(gymnasium.Env):
    metadata = {"render_modes": [], "render_fps": 10}
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = gymnasium.spaces.Dict(
        observation=gymnasium.spaces.Dict(
            place=POINT, grip=gymnasium.spaces.Discrete(3), grid=gymnasium.spaces.Box(-2.0, 2.0, (2, 2), np.float64)
        ),
        achieved_goal=POINT,
        desired_goal=POINT,
    )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self.observe(), {}

    def step(self, action):
        self.x = np.clip(self.x + 0.1 * action, -2, 2)
        return self.observe(), self.compute_reward(self.x, self.goal, {}), False, False, {}

    def observe(self):
        seen = {"place": self.x.copy(), "grip": int(self.x[0] > 0), "grid": np.stack([self.x, -self.x])}
        return {"observation": seen, "achieved_goal": self.x.copy(), "desired_goal": self.goal.copy()}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -1.0 * (np.linalg.norm(achieved_goal - desired_goal, axis=-1) > 0.05)


gymnasium.register("Cart-v0", "my_cart:Cart", max_episode_steps=20)
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    (tmp_path / "my_cart.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_cart", None)
    gymnasium.registry.pop("Cart-v0", None)


def test_an_environment_of_a_file_keeps_the_name_that_finds_it(own_file):
    task = envs.make("goal/my_cart:Cart-v0")
    assert (task.name, task.budget, task.describe()["task"]) == ("goal/my_cart:Cart-v0", 20, "goal/my_cart:Cart-v0")
    again = gymnasium.make(task.spec, disable_env_checker=True)
    assert again.unwrapped.name == task.name


def test_a_class_goes_without_registering(own_file):
    task = envs.make("goal/my_cart:Cart")
    assert (task.name, task.budget, task.time_limit) == ("goal/my_cart:Cart", 100, None)


def test_many_steps_run_in_other_processes_too(own_file):
    task = envs.make("goal/my_cart:Cart-v0")
    states, actions = np.repeat(task.state[None], 300, axis=0), np.random.default_rng(0).uniform(-1, 1, (300, 20, 2))
    np.testing.assert_array_equal(task.simulate(states, actions)[:5], task.simulate(states[:5], actions[:5]))
    task.close()


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("goal/my_cat:Cart-v0", ImportError, "names the module 'my_cat', and there is none: start in the folder of"),
        (
            "goal/my_cart:Car-v0",
            ValueError,
            "neither registered 'Car-v0' nor a class .* it has my_cart:Cart-v0",
        ),
    ],
)
def test_a_wrong_name_gets_one_sentence(own_file, name, error, sentence):
    with pytest.raises(error, match=sentence):
        envs.make(name)


def test_a_module_that_raises(own_file):
    (own_file / "my_broken.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match="importing 'my_broken' for goal/my_broken:X raised ZeroDivisionError"):
        envs.make("goal/my_broken:X")


def test_a_dictionary_becomes_sensors(own_file, tmp_path):
    task = envs.make("goal/my_cart:Cart-v0")
    shapes = {sensor.name: sensor.shape for sensor in task.sensors}
    assert shapes == {"place": (2,), "grip": (3,), "grid": (4,), "achieved_goal": (2,)}
    assert not next(sensor for sensor in task.sensors if sensor.name == "grip").interpolates
    seen, _ = task.reset(seed=1)
    assert task.observation_space.contains(seen)
    np.testing.assert_array_equal(seen["grid"], np.concatenate([seen["place"], -seen["place"]]))
    np.testing.assert_array_equal(seen["grip"], np.eye(3)[int(seen["place"][0] > 0)])
    # What repeats the achieved goal is asked for as well, and nothing else.
    mask = task.goal_mask
    assert mask["achieved_goal"].all() and mask["place"].all() and not mask["grip"].any()
    assert mask["grid"].tolist() == [True, True, False, False]
    wanted = task.goal_observation(np.array([0.5, -0.25]))
    np.testing.assert_allclose(wanted["place"], [0.5, -0.25])
    collect(task, ColouredNoise(), episodes=2, steps=5, seed=0, path=tmp_path / "data")
    assert [sensor.name for sensor in load(tmp_path / "data").spec.sensors] == list(shapes)


class Tuple(gymnasium.Env):
    """A reward and a nested observation."""

    observation_space = spaces.Dict(
        joints=spaces.Box(-1, 1, (2,), np.float64), pair=spaces.Tuple([spaces.MultiBinary(2), spaces.Box(0, 1, ())])
    )
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"joints": np.array([0.5, -0.5]), "pair": (np.array([1, 0], np.int8), np.float32(0.25))}, {}

    def step(self, action):
        return self.reset()[0], 1.0, False, False, {}


def test_a_reward_task_is_observed_by_one_vector_or_by_its_entries():
    task = make_reward_task(Tuple())
    np.testing.assert_allclose(task.reset(0), [0.5, -0.5, 1, 0, 0.25])
    task.see(["pair_1", "joints"])
    seen = task.reset(0)
    np.testing.assert_allclose(seen["pair_1"], [0.25])
    np.testing.assert_allclose(seen["joints"], [0.5, -0.5])
    with pytest.raises(ValueError, match="observed by state, joints, pair_0, pair_1, because it is no MuJoCo model"):
        task.see(["pixels"])


def test_strokes_move_and_rest():
    low, high = np.array([-2.0, 0.0]), np.array([2.0, 1.0])
    drawn = np.stack([Strokes().actions(low, high, 200, np.random.default_rng(seed)) for seed in range(20)])
    assert (drawn >= low).all() and (drawn <= high).all()
    assert 0.1 < (drawn == 0).all(axis=2).mean() < 0.6  # rests
    strength = np.abs(drawn[..., 0]).max(axis=1)
    assert strength.min() < 0.5 < 1.0 < strength.max()  # gentle episodes and strong ones
    symmetric = np.stack([Strokes(noise=0.0).actions(-high, high, 400, np.random.default_rng(s)) for s in range(20)])
    assert np.abs(symmetric.sum(axis=1)).max() < 12.5  # each push is taken back, but for the last one
    with pytest.raises(ValueError, match=r"gentlest in \(0, 1\]"):
        Strokes(gentlest=0.0)
