import subprocess

import numpy as np
import pytest

import envs
from envs.rollout import BatchPhysics
from envs.vision import pictures
from envs.vision.camera import available
from envs.vision.pictures import Pictures


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


@pytest.fixture(params=["two_room", "umaze", "giant_maze", "reacher", "fetch_reach"])
def task(request):
    task = envs.make(request.param)
    yield task
    task.close()


def shown(task):
    """Names of the pictures."""
    return [sensor.name for sensor in task.sensors if len(sensor.shape) == 3]


def states(task, count, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([task.sample_state(rng) for _ in range(count)])


def test_pictures_follow_from_the_state_alone(task):
    task.see(["pixels"])
    some = states(task, 4)
    first = task.observe(some)
    task.observe(states(task, 3, seed=1))
    again = task.observe(some[::-1])
    for name in shown(task):
        values = first[name]
        assert values.shape == (4, 64, 64, 3) and values.dtype == np.uint8
        np.testing.assert_array_equal(values, again[name][::-1])
        assert not np.array_equal(values[0], values[1])


def test_the_goal_is_not_in_the_picture(task):
    task.see(["pixels"])
    one, other = (task.sample_goal(np.random.default_rng(seed)) for seed in (0, 1))
    state = task.at_goal(one)
    for name in shown(task):
        values = task.observe(state)[name]
        task.goal = other
        np.testing.assert_array_equal(values, task.observe(state)[name])
        red, green = values[..., 0].astype(int), values[..., 1].astype(int)
        assert (green - red).max() < 30, "a green mark"
        assert (red - green).max() > 60, "no red body"


def test_a_goal_is_seen_as_being_there(task):
    task.see(["pixels", "proprio"])
    goal = task.sample_goal(np.random.default_rng(0))
    seen = task.goal_observation(goal)
    assert task.success(task.at_goal(goal), goal)
    np.testing.assert_array_equal(seen["pixels"], task.observe(task.at_goal(goal))["pixels"])
    np.testing.assert_array_equal(seen["proprio"], 0.0)


def test_observations_are_in_the_space(task):
    task.see(["proprio", "pixels", "state"], size=32)
    names = [name for sensor in task.sensors for name in (sensor.name, f"{sensor.name}_present")]
    assert list(task.observation_space.spaces) == names, "with several, any of them may be missing"
    observation, _ = task.reset(seed=0)
    assert task.observation_space.contains(observation)
    assert observation["pixels"].shape == (32, 32, 3)


def test_a_body_that_moves_by_a_fifth_of_a_pixel_changes_the_picture():
    task = envs.make("two_room")
    task.see(["pixels"])
    pixel = 2.2 / 64
    at = np.array([[0.5, 0.5], [0.5 + pixel / 5, 0.5]])
    one, other = task.observe(task.pack(at, np.zeros_like(at)))["pixels"]
    assert not np.array_equal(one, other)
    task.close()


def test_the_puck_is_drawn_where_it_is():
    """Against a rasteriser of our own: the share of each pixel that the disc covers, from 16 x 16 samples."""
    task = envs.make("two_room")
    task.see(["pixels"])
    at = np.array([[0.52, -0.31], [-0.7, 0.6], [0.4, 0.77]])
    empty = task.observe(task.pack(np.array([-0.5, -0.5]), np.zeros(2)))["pixels"].astype(float)
    samples = (np.arange(64 * 16) + 0.5) / (64 * 16) * 2.2 - 1.1
    for position, picture in zip(at, task.observe(task.pack(at, np.zeros_like(at)))["pixels"], strict=True):
        inside = (samples[None, :] - position[0]) ** 2 + (-samples[:, None] - position[1]) ** 2 <= 0.05**2
        covered = inside.reshape(64, 16, 64, 16).mean(axis=(1, 3))
        changed = np.abs(picture - empty).max(axis=-1) > 24
        far = (samples[8::16][None, :] + 0.5) ** 2 + (samples[8::16][:, None] - 0.5) ** 2 < 0.1**2  # the other puck
        assert not (changed & ~far & (covered == 0)).any(), "drawn where it is not"
        assert (changed[covered > 0.5]).all(), "not drawn where it is"
    task.close()


def test_worker_processes_draw_the_same_bits(monkeypatch):
    task = envs.make("umaze")
    some = states(task, 50)
    alone, shared = Pictures(task.model, "top", 64), Pictures(task.model, "top", 64)
    expected = alone(some)
    monkeypatch.setattr(pictures, "WORTH_WORKERS", 10)
    monkeypatch.setattr(pictures, "_CHUNK", 8)
    monkeypatch.setattr(pictures, "available_cores", lambda: 3)
    np.testing.assert_array_equal(shared(some), expected)
    assert shared._processes is not None and len(shared._processes) == 2
    alone.close()
    shared.close()


def test_pictures_are_complete_though_a_worker_dies(monkeypatch, caplog):
    task = envs.make("two_room")
    some, shared = states(task, 40), Pictures(task.model, "top", 64)
    monkeypatch.setattr(pictures, "WORTH_WORKERS", 10)
    monkeypatch.setattr(pictures, "_CHUNK", 8)
    monkeypatch.setattr(pictures, "available_cores", lambda: 2)
    expected = shared(some)
    worker = shared._processes[0]
    worker.kill()
    worker.wait()
    np.testing.assert_array_equal(shared(some), expected)
    assert "are drawn in this one" in caplog.text
    shared.close()


def test_a_worker_imports_no_jax():
    code = "import sys, envs.vision.worker; sys.exit('jax' in sys.modules)"
    assert subprocess.run([pictures.sys.executable, "-c", code], check=False).returncode == 0


def test_sensors_may_be_chosen_again():
    task = envs.make("two_room_sensors")
    states = np.stack([task.sample_state(np.random.default_rng(0))])
    for names in (["pixels"], ["position", "velocity"], ["proprio", "position"]):
        task.see(names, size=16)
        assert set(names) <= set(task.sense(states, [np.random.default_rng(0)]))
    task.close()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["pixel"], "two_room has no sensor 'pixel': choose from state, proprio, pixels"),
        ([], "needs sensors, each named once; got none"),
        (["pixels", "pixels"], "each named once; got pixels, pixels"),
    ],
)
def test_wrong_sensors_are_named(names, words):
    with pytest.raises(ValueError, match=words):
        envs.make("two_room").see(names)


def test_a_camera_that_the_model_lacks_is_named():
    model = envs.make("two_room").model
    with pytest.raises(ValueError, match="no camera 'front': it has top"):
        Pictures(model, "front", 64)(np.zeros((1, BatchPhysics(model, substeps=1).state_size)))
