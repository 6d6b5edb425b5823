"""Reward tasks observed by pictures and other sensors of their models."""

import numpy as np
import pytest

from envs.registry import make_reward_task
from envs.reward_batch import RewardBatch
from envs.reward_task import check_reward_task
from envs.vision.camera import available


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


def seeing(name, sensors=("pixels",), size=16):
    task = make_reward_task(name, 2)
    task.see(sensors, size)
    return task


@pytest.mark.parametrize("name", ["dmc/cartpole-swingup", "gym/HalfCheetah-v5", "gym/Reacher-v5"])
def test_a_picture_follows_from_the_state_alone(name):
    task, other = seeing(name), seeing(name)
    first = task.reset(seed=1)["pixels"]
    assert first.shape == (16, 16, 3) and first.dtype == np.uint8 and first.std() > 0
    for _ in range(4):
        task.step(task.high)
    moment, there = task.snapshot(), task.observe()["pixels"]
    assert not np.array_equal(first, there)
    other.reset(seed=5)
    other.restore(moment)
    np.testing.assert_array_equal(other.observe()["pixels"], there)
    task.step(task.low)
    np.testing.assert_array_equal(task.reset(seed=1)["pixels"], first)
    task.close(), other.close()


def test_a_target_that_the_task_moves_in_its_model_is_seen():
    task = seeing("dmc/reacher-easy", size=32)
    before = task.reset(seed=0)["pixels"]
    target = task._physics.named.model.geom_pos["target"]
    target[:2] = -target[:2]
    assert (np.abs(before.astype(int) - task.observe()["pixels"]).max(axis=-1) > 40).sum() > 4
    task.close()


def test_sensors_are_chosen_by_name():
    task, plain = seeing("dmc/walker-walk", ("pixels", "proprio", "state")), make_reward_task("dmc/walker-walk", 2)
    assert [(each.name, each.shape, each.optional) for each in task.sensors] == [
        ("pixels", (16, 16, 3), True), ("proprio", (9,), True), ("state", (24,), True)
    ]  # fmt: skip
    seen, state = task.reset(seed=3), plain.reset(seed=3)
    np.testing.assert_array_equal(seen["state"], state)
    assert seen["pixels_present"] == seen["proprio_present"] == 1 and seen["proprio"].dtype == np.float32
    step = task.step(task.high)
    np.testing.assert_array_equal(step.observation["proprio"], np.float32(task._physics.data.qvel))
    assert step.reward == plain.step(plain.high).reward
    check_reward_task(task, steps=3)
    task.see(["proprio"])
    assert task.observe().shape == (9,)
    task.close()


def test_what_it_cannot_see_it_says():
    with pytest.raises(ValueError, match="dmc/cartpole-swingup has no sensor 'sonar': choose from state, proprio, pix"):
        seeing("dmc/cartpole-swingup", ("sonar",))
    with pytest.raises(ValueError, match="is observed by state alone, because it is no MuJoCo model: leave out obs"):
        seeing("gym/Pendulum-v1")


def test_a_batch_goes_on_from_its_snapshot():
    sensors = ("pixels", "proprio")
    batch, other = (RewardBatch(lambda: seeing("dmc/cartpole-swingup", sensors), 2, seed=seed) for seed in (0, 0))
    rng = np.random.default_rng(0)
    steps = batch.step(rng.uniform(-1, 1, (2, 1)))
    assert steps.observations["pixels"].shape == steps.next_observations["pixels"].shape == (2, 16, 16, 3)
    assert not np.array_equal(steps.observations["pixels"], steps.next_observations["pixels"])
    np.testing.assert_array_equal(batch.observations["proprio"], steps.next_observations["proprio"])
    assert other.restore(batch.snapshot()).all()
    action = rng.uniform(-1, 1, (2, 1))
    one, again = batch.step(action), other.step(action)
    for name, values in one.next_observations.items():
        np.testing.assert_array_equal(values, again.next_observations[name], err_msg=name)
        np.testing.assert_array_equal(one.observations[name], again.observations[name], err_msg=name)
    batch.close(), other.close()
