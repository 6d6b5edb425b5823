"""behaviour=expert: each task's own expert, which demonstrates it; and tasks with a sensor of contact."""

import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise, Scripted
from envs.experts import Expert
from envs.grasping import Grasps
from envs.handling import HandlingExpert
from envs.pushing import PushExpert
from envs.streams import episode_rng
from envs.task import HasContact

QUIET = ColouredNoise(beta=1.0, scale=0.0)


def roll(task, behaviour, steps=60):
    rngs = [episode_rng(0, "collect", index) for index in range(3)]
    return behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)


@pytest.mark.parametrize(
    ("name", "own"),
    [("push_t", PushExpert()), ("fetch_push", HandlingExpert()), ("two_room", Scripted(noise=QUIET))],
)
def test_a_demonstration_is_that_of_the_tasks_own_expert(name, own):
    task = envs.make(name)
    for one, other in zip(roll(task, Expert()), roll(task, own), strict=True):
        np.testing.assert_array_equal(one, other)
    _, noisy = roll(task, Expert(noise=ColouredNoise(scale=0.3)))
    assert not np.array_equal(noisy, roll(task, own)[1])
    task.close()


def test_every_task_with_an_object_has_one():
    assert isinstance(Expert().of(envs.make("fetch_pick_and_place")), HandlingExpert)
    pytest.importorskip("ogbench")
    made = Expert(noise=ColouredNoise(scale=0.2)).of(envs.make("cube_single"))
    assert made == Grasps(least=0.0, noise=0.2, random=0.0)


def test_a_task_without_an_expert_is_one_sentence():
    with pytest.raises(ValueError, match="has no expert that could demonstrate it: record demonstrations of your own"):
        Expert().of(envs.make("goal/PointMaze_UMaze-v3"))


@pytest.mark.parametrize("name", ["push_t", "fetch_push"])
def test_contact_is_what_the_sensor_says_and_moves_the_object(name):
    task = envs.make(name)
    assert isinstance(task, HasContact) and not isinstance(envs.make("two_room"), HasContact)
    states, _ = roll(task, Expert())
    touching = task.touching(states)
    assert touching.shape == states.shape[:2] and touching.dtype == bool and 0.02 < touching.mean() < 0.98
    np.testing.assert_array_equal(touching, task.readings(states)["contact"][..., 0] > 0)
    task.close()


def test_contact_with_the_cube_of_ogbench():
    pytest.importorskip("ogbench")
    task = envs.make("cube_single")
    assert isinstance(task, HasContact)
    states, _ = roll(task, Expert(), 80)
    np.testing.assert_array_equal(task.touching(states), task.readings(states)["gripper"][..., 1] > 0)
    task.close()
