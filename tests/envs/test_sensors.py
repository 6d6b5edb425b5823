"""Observations of several sensors, one of which may be missing."""

import json

import minari
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import envs
from envs import faults
from envs.behaviours import ColouredNoise, FromPolicy, Mixture
from envs.collect import collect
from envs.sensors import Sensor, at, complete, hide, observation_space, present_key
from envs.streams import episode_rng
from envs.two_room import TwoRoomSensors

POSITION, VELOCITY = TwoRoomSensors.sensors
CAMERA = Sensor("pixels", (4, 4, 3), "uint8", interpolates=False)


@pytest.fixture(scope="module")
def task():
    return envs.make("two_room_sensors")


def starts(task, n):
    rng = np.random.default_rng(0)
    return np.stack([task.sample_state(rng) for _ in range(n)])


def test_gymnasium_accepts_the_dictionary(task):
    check_env(envs.make("two_room_sensors", render_mode="rgb_array"))
    assert list(task.observation_space) == ["position", "velocity", "velocity_present"]
    assert task.observation_space["velocity_present"] == spaces.Box(0, 1, (1,), np.uint8)


def test_observations_are_those_of_two_room_in_parts(task):
    whole = envs.make("two_room")
    states = task.simulate(starts(task, 3), np.ones((3, 5, 2)))
    seen, expected = task.observe(states), whole.observe(states)
    np.testing.assert_array_equal(np.concatenate([seen["position"], seen["velocity"]], axis=-1), expected)
    assert seen["velocity_present"].shape == (3, 5, 1) and seen["velocity_present"].all()
    goal = task.goal_observation(states[:, 0, 1:3])
    assert task.observation_space.contains(at(goal, 0)) and not goal["velocity"].any()
    assert {name: mask.tolist() for name, mask in task.goal_mask.items()} == {
        "position": [True, True],
        "velocity": [True, True],
    }
    np.testing.assert_array_equal(whole.goal_mask, np.ones(4, bool))


def test_a_fifth_of_the_velocities_is_missing_and_the_seed_says_which(task):
    def play(seed):
        observation, _ = task.reset(seed=seed)
        yield observation
        for _ in range(60):
            yield task.step(np.ones(2, np.float32))[0]

    first, again, other = (list(play(seed)) for seed in (0, 0, 1))
    present = [observation["velocity_present"][0] for observation in first]
    assert present == [observation["velocity_present"][0] for observation in again]
    assert present != [observation["velocity_present"][0] for observation in other]
    for observation in first:
        assert observation["velocity_present"][0] or not observation["velocity"].any()
    states = np.repeat(starts(task, 4)[:, None], 2000, axis=1)
    share = 1 - task.sense(states, [np.random.default_rng(i) for i in range(4)])["velocity_present"].mean(axis=(1, 2))
    assert (abs(share - 0.2) < 0.04).all()


def test_sensing_moment_by_moment_or_all_at_once_is_the_same(task):
    states = task.simulate(starts(task, 3), np.ones((3, 20, 2)))
    whole = task.sense(states, [np.random.default_rng(i) for i in range(3)])
    rngs = [np.random.default_rng(i) for i in range(3)]
    for t in range(20):
        now = task.sense(states[:, t], rngs)
        assert all(np.array_equal(now[key], whole[key][:, t]) for key in now)


def test_minari_stores_every_sensor(task, tmp_path):
    summary = collect(task, Mixture(), episodes=7, steps=12, seed=0, path=tmp_path / "a")
    collect(task, Mixture(), episodes=7, steps=12, seed=0, path=tmp_path / "b", batch=3)
    dataset = minari.MinariDataset(tmp_path / "a")
    a, b = (list(minari.MinariDataset(tmp_path / name).iterate_episodes()) for name in "ab")
    assert dataset.observation_space == task.observation_space and summary.steps == 84
    hidden = 0
    for one, other in zip(a, b, strict=True):
        true = task.observe(one.infos["state"])
        seen = one.observations
        assert {key: (value.shape, value.dtype) for key, value in seen.items()} == {
            "position": ((13, 2), np.float32),
            "velocity": ((13, 2), np.float32),
            "velocity_present": ((13, 1), np.uint8),
        }
        present = seen["velocity_present"][:, 0] == 1
        np.testing.assert_array_equal(seen["position"], true["position"])
        np.testing.assert_array_equal(seen["velocity"][present], true["velocity"][present])
        assert not seen["velocity"][~present].any()
        assert all(np.array_equal(seen[key], other.observations[key]) for key in seen)
        hidden += int((~present).sum())
    assert 0.1 < hidden / (7 * 13) < 0.35
    described = json.loads(dataset.storage.metadata["task"])["observation"]
    assert tuple(Sensor.from_json(fields) for fields in described) == task.sensors


def test_the_estimate_covers_what_is_written(task, tmp_path):
    from envs.collect import _estimated_bytes

    collect(task, ColouredNoise(), episodes=40, steps=20, seed=0, path=tmp_path / "data")
    written = sum(file.stat().st_size for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert written < _estimated_bytes(task, 40, 20) < 1.5 * written


def test_a_policy_of_ones_own_makes_data(task):
    def towards(observation, goals):
        return 5.0 * (goals - observation["position"])

    rngs = [episode_rng(0, "collect", i) for i in range(20)]
    states, actions = FromPolicy(towards, "towards", patience=200).rollout(task, starts(task, 20), rngs, 60)
    np.testing.assert_array_equal(task.simulate(states[:, 0], actions), states[:, 1:])
    assert np.linalg.norm(states[:, -1, 1:3] - states[:, 0, 1:3], axis=-1).mean() > 0.3


def test_faults_break_one_component_of_one_sensor(task):
    states, actions = starts(task, 8), np.ones((8, 6, 2), np.float32)
    reading = faults.simulate_with(task, "nan_sensor", 3, states, actions, np.random.default_rng(0))
    values = np.concatenate([reading.observations["position"], reading.observations["velocity"]], axis=-1)
    assert np.isfinite(values[:, :3]).all()
    present = reading.observations["velocity_present"][..., 0] == 1
    broken = np.isnan(values).sum(axis=-1)
    assert set(broken[:, 3:].ravel()) <= {0, 1} and broken[:, 3:].any(axis=1).all()
    assert not np.isnan(reading.observations["velocity"][~present]).any()
    late = faults.simulate_with(task, "delayed_observations", 2, states, actions, np.random.default_rng(0))
    np.testing.assert_array_equal(late.ages[0], [0, 0, 1, 2, 3, 3])


def test_a_camera_is_a_sensor_too():
    sensors = (POSITION, CAMERA)
    bounds = {"position": (-1, 1), "pixels": (0, 255)}
    space = observation_space(sensors, bounds)
    frame = np.zeros((5, 4, 4, 3), np.uint8)
    seen = complete(sensors, {"position": np.zeros((5, 2)), "pixels": frame})
    assert list(space) == ["position", "pixels"]  # theirs, not that of the alphabet
    assert space.contains(at(seen, 0)) and seen["pixels"].dtype == np.uint8
    alone = observation_space((CAMERA,), bounds)  # by name, also where it is the only one
    assert alone == spaces.Dict({"pixels": spaces.Box(0, 255, (4, 4, 3), np.uint8)})


def test_one_sensor_that_may_be_missing_still_says_so():
    space = observation_space((VELOCITY,), {"velocity": (-1, 1)})
    seen = complete((VELOCITY,), {"velocity": np.ones((3, 2))})
    gone = hide(seen, VELOCITY, np.array([True, False, True]))
    assert space.contains(at(gone, 0)) and gone[present_key(VELOCITY)][:, 0].tolist() == [0, 1, 0]
    assert gone["velocity"].tolist() == [[0, 0], [1, 1], [0, 0]] and seen["velocity"].all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sensor("two words", (1,)), "a sensor is called 'two words'"),
        (lambda: Sensor("speed_present", (1,)), "without the end '_present'"),
        (lambda: Sensor("speed", (0,)), r"the shape of sensor 'speed' is \(0,\)"),
        (lambda: Sensor("speed", (2,), units=("m/s",)), "sensor 'speed' has 2 components, but 1 units"),
        (lambda: Sensor("angle", (2,), period=(6.28,)), "sensor 'angle' has 2 components, but 1 period"),
        (lambda: Sensor("angle", (1,), period=(-1.0,)), "each must be positive, or None"),
        (lambda: observation_space((POSITION, POSITION), {"position": (0, 1)}), "each needs a name of its own"),
        (lambda: TwoRoomSensors(dropout=1.5), "dropout is 1.5, but a probability"),
    ],
)
def test_what_no_sensor_can_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()
