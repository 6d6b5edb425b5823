from types import SimpleNamespace

import numpy as np
import pytest

import envs
from envs.sensors import Sensor
from experiments.baselines import gcbc, weights
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import GoalEpisodes
from worldmodel.data.episodes import EpisodeData
from worldmodel.observation import vector
from worldmodel.training.settings import TrainingConfig

TRAINING = TrainingConfig(updates=300, batch=64, updates_per_call=100, learning_rate=3e-3)
SHAPE = gcbc.GcbcConfig(width=32, depth=2)


def walks(episodes=60, steps=20):
    """A point that walks straight to a place and stays: two actions of at most 2, a twentieth of which it moves."""
    rng = np.random.default_rng(0)
    position, aim = rng.uniform(-1, 1, (2, episodes, 2))
    observations, actions = [position], []
    for _ in range(steps):
        actions.append(np.clip(20 * (aim - position), -2, 2))
        position = position + actions[-1] / 20
        observations.append(position)
    rows = episodes * (steps + 1)
    first = np.repeat(np.arange(0, rows, steps + 1), steps + 1)
    taken = np.stack([*actions, np.zeros_like(actions[0])], axis=1).reshape(rows, 2)
    return EpisodeData(
        readings={"state": np.stack(observations, axis=1).reshape(rows, 2).astype(np.float32)},
        actions=taken.astype(np.float32),
        first=first.astype(np.int32),
        last=(first + steps).astype(np.int32),
        states=None,
        action_low=np.full(2, -2, np.float32),
        action_high=np.full(2, 2, np.float32),
        metadata={},
        spec=vector(2),
    )


class Plane:
    """As much of a task as a policy looks at."""

    sensors = (Sensor("state", (2,)),)
    action_space = type("Space", (), {"shape": (2,), "low": np.full(2, -2.0), "high": np.full(2, 2.0)})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gcbc") / "gcbc.safetensors"
    gcbc.train_to_file(path, walks(), 2, SHAPE, TRAINING, {"seed": 0})
    return path


def test_it_walks_to_goals_that_it_has_not_seen(file):
    policy, known, _ = gcbc.load(file, Plane(), {"seed": 0})
    rng = np.random.default_rng(1)
    position, goals = rng.uniform(-0.8, 0.8, (2, 50, 2))
    policy.reset(SimpleNamespace(goals=goals.astype(np.float32), low=np.full(2, -2.0), high=np.full(2, 2.0)))
    before = np.linalg.norm(position - goals, axis=1)
    for _ in range(40):
        actions = policy.act(position, np.ones(50, bool))
        assert np.abs(actions).max() <= 2
        position = position + actions / 20
    assert np.mean(np.linalg.norm(position - goals, axis=1)) < 0.2 * before.mean()
    assert policy.name == "gcbc" and known["env_steps"] == 1200 and known["train_seconds"] > 0
    assert known["parameters"] == sum(value.size for value in weights.read(file, {"seed": 0})[0].values())


def test_a_file_of_another_recipe_or_a_broken_one_is_refused(file, tmp_path):
    with pytest.raises(ValueError, match="was made with seed=0, and this recipe has 1: remove it"):
        gcbc.load(file, Plane(), {"seed": 1})
    with pytest.raises(FileNotFoundError, match="there is no file at"):
        gcbc.load(tmp_path / "none", Plane(), {})
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is truncated or of another program"):
        gcbc.load(broken, Plane(), {"seed": 0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"width": 4, "depth": 10**6}}, "says depth=1000000, and its tensors allow 1 to"),
        ({"config": {"width": 10**9, "depth": 2}}, "says width=1000000000, and the most is"),
        ({"config": {"width": 10**6, "depth": 2}}, "the array .* is missing, or is not of the shape"),
        ({"config": {"width": -4, "depth": 2}}, "does not describe a GcbcConfig .*must be at least 1"),
        ({"config": {"width": 4, "wide": 4}}, "does not describe a GcbcConfig: remove it"),
        ({"config": 7}, "does not describe a GcbcConfig: remove it"),
        ({"history": 10**9}, "says history=1000000000, and its tensors allow 1 to"),
        ({"history": None}, "says history=None"),
    ],
)
def test_sizes_in_a_header_are_bounded_before_a_network_is_built(file, tmp_path, change, words):
    tensors, header = weights.read(file, {"seed": 0})
    weights.write(tmp_path / "m", tensors, {**header, **change})
    with pytest.raises(ValueError, match=words):
        gcbc.load(tmp_path / "m", Plane(), {"seed": 0})


@pytest.mark.parametrize("values", [{"width": 0}, {"depth": 0}])
def test_a_network_needs_layers(values):
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        gcbc.GcbcConfig(**values)


def test_a_real_task_takes_its_actions():
    task = envs.make("reacher")
    pairs = honest(task, 3, 0)
    config = gcbc.GcbcConfig(width=4, depth=1)
    model = gcbc.Cloner(vector(6), 2, 2, config, gcbc.nnx.Rngs(0))
    policy = gcbc.policy(task, model, 2)
    episodes = GoalEpisodes(task, pairs)
    policy.reset(episodes)
    actions = policy.act(episodes.observe(), episodes.active)
    assert actions.shape == (3, 2) and all(task.action_space.contains(action) for action in actions)
