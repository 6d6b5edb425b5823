"""What learning from rewards may begin with: one reader, and the checks that any training does."""

import json
import math

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from envs.behaviours import ColouredNoise
from envs.registry import make_reward_task
from experiments import build
from experiments.build.learned import learned
from experiments.training.data_checks import check_rewards
from experiments.training.online import run as train_online
from experiments.training.recording import record
from planning.control import LiveEngine
from worldmodel.data.dataset import load
from worldmodel.data.rewards import load_rewards
from worldmodel.models.checkpoint import load_reward_model

from ...reward_recipe import save_random_reward_model

TINY = ["model.width=8", "model.encoder_width=8", "model.critic_width=8", "model.policy_width=8"]


class Silent(gymnasium.Env):
    """One that does not say how long a step lasts."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.normal(size=2).astype(np.float32), {}

    def step(self, action):
        return self.np_random.normal(size=2).astype(np.float32), 0.0, False, False, {}


gymnasium.register("SilentEnv-v0", Silent, max_episode_steps=20)


def write(path, bound=2.0, **metadata):
    """A real Minari dataset of Pendulum's sizes."""
    path.mkdir()
    box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-bound, bound, (1,), np.float32)
    storage = MinariStorage.new(path, box, action_space, data_format="hdf5", jpeg_encoding=False)
    storage.update_metadata({"dataset_id": "test-v0", "minari_version": minari.__version__, **metadata})
    rng = np.random.default_rng(0)
    storage.update_episodes(
        EpisodeBuffer(
            observations=rng.normal(size=(21, 3)),
            actions=rng.uniform(-1, 1, size=(20, 1)),
            rewards=rng.normal(size=20),
            terminations=np.zeros(20, bool),
            truncations=np.arange(20) == 19,
            infos={},
        )
        for _ in range(2)
    )
    return path


def run(data, *more):
    cfg = build.compose(
        "train", "method=td", "task=reward", "task.name=gym/Pendulum-v1", f"online.data={data}", *TINY, *more,
        f"out={data.parent / 'model.safetensors'}",
    )  # fmt: skip
    train_online.run(cfg)


def test_data_with_other_bounds_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data has action_low\[0\] at -1, and gym/Pendulum-v1 at -2: give data"):
        run(write(tmp_path / "data", bound=1.0))


def test_as_many_observations_as_actions_are_refused(tmp_path):
    path = write(tmp_path / "data")
    with h5py.File(path / "main_data.hdf5", "r+") as file:
        rows = file["episode_1"]["observations"][:20]
        del file["episode_1"]["observations"]
        file["episode_1"]["observations"] = rows
    with pytest.raises(ValueError, match="episode 1 has 20 observations for 20 actions; expected one more"):
        run(path)


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({"env_spec": gymnasium.spec("MountainCarContinuous-v0").to_json()}, "gym/MountainCarContinuous-v0"),
        ({"task": json.dumps({"task": "dmc/pendulum-swingup"})}, "dmc/pendulum-swingup"),
    ],
)
def test_data_of_another_environment_are_refused(tmp_path, metadata, found):
    path = write(tmp_path / "data", **metadata)
    with pytest.raises(ValueError, match=rf"data is of {found}, not of gym/Pendulum-v1"):
        run(path)
    task = make_reward_task("gym/Pendulum-v1")
    check_rewards(load(path, rewards=True), task.describe(), path, rewards_count=False)  # what actions do is the same


def test_a_reward_that_is_not_finite_and_logs_without_rewards_are_refused(tmp_path):
    path = write(tmp_path / "data")
    with h5py.File(path / "main_data.hdf5", "r+") as file:
        file["episode_1"]["rewards"][3] = np.nan
    with pytest.raises(ValueError, match="episode 1 has a non-finite value in its rewards at step 3"):
        run(path)
    assert load(path).rewards is None  # without rewards, they do not matter
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match="robot's logs, which have no rewards: give a Minari dataset"):
        load_rewards(tmp_path)


def test_what_is_recorded_says_what_it_is_of(tmp_path):
    task = make_reward_task("gym/Pendulum-v1", 2)
    record(task, ColouredNoise(), 2, 10, 0, tmp_path / "data")
    data = load(tmp_path / "data", rewards=True)
    check_rewards(data, task.describe(), "data")
    with pytest.raises(ValueError, match="has a control period of 100 ms, and gym/Pendulum-v1 has 200 ms"):
        check_rewards(data, make_reward_task("gym/Pendulum-v1", 4).describe(), "data")
    assert data.last_episodes(1).rewards.shape == (11,)


def test_a_contract_asks_for_the_control_period(tmp_path):
    path = save_random_reward_model(tmp_path / "model.safetensors", "gym/SilentEnv-v0", action_repeat=1)
    asked = r"gym/SilentEnv-v0 does not define its control period \(.*\): add control_period=SECONDS"
    with pytest.raises(ValueError, match=asked):
        learned(path).agent(needs_period=True)
    with pytest.raises(ValueError, match=asked):
        build.controller(path)
    with pytest.raises(ValueError, match=asked):
        learned(path, "+constraint.rate={_target_: planning.RateLimit, limit: 10}").agent()
    with pytest.raises(ValueError, match="control_period must be a number"):
        learned(path, "control_period=often").agent()
    known = learned(path, "control_period=0.02").agent(needs_period=True)
    assert LiveEngine(known).contract.control_period == 0.02
    assert learned(path).agent().spec.control_period == 1.0  # a measurement in the simulator needs none


class Rich(Silent):
    """One that earns 5,000 a step."""

    dt = 0.1

    def step(self, action):
        observation, _, *ends = super().step(action)
        return observation, 5000.0, *ends


gymnasium.register("RichEnv-v0", Rich, max_episode_steps=100)


def test_large_rewards_widen_the_bins_and_the_model_says_so(tmp_path, caplog):
    out = tmp_path / "model.safetensors"
    cfg = build.compose(
        "train", "method=td", "task=reward", "task.name=gym/RichEnv-v0", *TINY, "online.steps=4", "training.batch=2",
        "online.seed_decisions=100", "online.slots=300", "online.evaluate_every=100", "online.evaluate_episodes=1",
        "online.actor=policy", f"out={out}",
    )  # fmt: skip
    train_online.run(cfg)
    found = load_reward_model(out)
    assert math.expm1(found.model.config.bin_limit) > 5000.0 * 20  # of some 20 decisions, discounted
    assert "random decisions in gym/RichEnv-v0 reach" in caplog.text
    assert "and model.bin_limit=7 ends at 1096: it is raised to" in caplog.text
    assert found.metadata["control_period"] == 0.1
