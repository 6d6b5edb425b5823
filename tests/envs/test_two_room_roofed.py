"""The roof hides the puck from the camera and changes nothing else."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.two_room_roofed import TwoRoomRoofed
from envs.vision.camera import available


@pytest.fixture(scope="module")
def task():
    return TwoRoomRoofed()


@pytest.fixture(scope="module")
def pairs(task):
    rng = np.random.default_rng(0)
    states, goals = zip(*(task.sample_pair(rng) for _ in range(60)), strict=True)
    return np.stack(states), np.stack(goals)


def test_gymnasium_finds_nothing_to_complain_about():
    check_env(envs.make("two_room_roofed"))


def test_physics_success_and_cost_are_those_of_the_open_door(task, pairs):
    states, goals = pairs
    actions = np.random.default_rng(1).uniform(-1, 1, (len(states), 8, 2)).repeat(10, axis=1)
    open_door = envs.make("two_room")
    futures = task.simulate(states, actions)
    np.testing.assert_array_equal(futures, open_door.simulate(states, actions))
    assert task.beneath(task.qpos(futures)).any(), "some go beneath it"
    np.testing.assert_array_equal(task.success(futures, goals[:, None]), open_door.success(futures, goals[:, None]))
    np.testing.assert_array_equal(task.cost(futures, goals[:, None]), open_door.cost(futures, goals[:, None]))
    assert (task.budget, task.tolerance, task.control_period) == (80, 0.1, 0.05)
    np.testing.assert_array_equal(task.observe(states), open_door.observe(states))


def test_starts_and_goals_are_visible_and_half_of_them_need_the_door(task, pairs):
    states, goals = pairs
    for places in (task.qpos(states), goals):
        assert not task.beneath(places, 0.09).any()
    assert 0.35 < task.needs_detour(states, goals).mean() < 0.65


def test_a_crossing_takes_far_more_moments_out_of_sight_than_a_history_has(task, pairs):
    states, goals = (each[task.needs_detour(*pairs)] for each in pairs)
    trace = [states]
    for _ in range(task.budget):
        trace.append(task.simulate(trace[-1], task.script(trace[-1], goals)[:, None])[:, 0])
    path = np.stack(trace, axis=1)
    assert task.success(path, goals[:, None]).any(axis=1).all(), "the script goes through the door"
    hidden = task.beneath(task.qpos(path), -0.05).sum(axis=1)
    assert hidden.min() >= 10


def test_the_camera_does_not_see_the_puck_beneath_the_roof(task):
    if (reason := available()) is not None:
        pytest.skip(reason)
    seen = TwoRoomRoofed()
    seen.see(["pixels"])
    places = np.array([[0.0, 0.25], [0.3, -0.1], [-0.3, 0.6], [0.6, 0.25], [-0.2, -0.6]])
    pictures = seen.observe(seen.pack(places, np.zeros_like(places)))["pixels"]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])
    assert (pictures[3] != pictures[0]).any() and (pictures[4] != pictures[0]).any()
    seen.close()
