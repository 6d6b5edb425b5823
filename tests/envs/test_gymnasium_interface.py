"""Environments with another interface than Gymnasium's: one sentence that says what they give and what to do."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces, wrappers

from envs import make_reward_task
from envs.reward_task import WrongInterface, check_reward_task

OBSERVATION = np.zeros(2, np.float32)


class Env(gymnasium.Env):
    """Gives whatever it is told to."""

    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Box(-1, 1, (1,))

    def __init__(self, reset=(OBSERVATION, {}), step=(OBSERVATION, 0.0, False, False, {})):
        self.answers = reset, step

    def reset(self, *, seed=None, options=None):
        return self.answers[0]

    def step(self, action):
        return self.answers[1]


class WithoutSeed(Env):
    def reset(self):
        return self.answers[0]


OLD_STEP = (OBSERVATION, 0.0, False, {})


@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: wrappers.TimeLimit(env, 5), wrappers.FlattenObservation])
@pytest.mark.parametrize(
    ("env", "words"),
    [
        (Env(step=OLD_STEP), "the step of gym/Env gives 4 values, as in old Gym, and Gymnasium's gives 5"),
        (
            Env(reset=OBSERVATION),
            "the reset of gym/Env gives .*, and Gymnasium's gives an observation and a dictionary",
        ),
        (Env(reset=(OBSERVATION, OBSERVATION)), None),
        (WithoutSeed(), "the reset of gym/WithoutSeed takes no seed, as in old Gym"),
    ],
)
def test_the_interface_of_old_gym_is_one_sentence(env, words, wrap):
    wrapped = wrap(env)
    if words is None and isinstance(wrapped, wrappers.FlattenObservation):
        return  # it passes two values on as they are
    task = make_reward_task(wrapped)
    with pytest.raises(WrongInterface, match=words or "2 values of which the second is no dictionary"):
        check_reward_task(task, steps=2)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ((OBSERVATION, np.zeros(3), False, False, {}), "the step of gym/Env gives array.* as the reward"),
        ((OBSERVATION, None, False, False, {}), "the step of gym/Env gives None as the reward"),
        ((OBSERVATION, 0.0, np.zeros(2, bool), False, {}), "where a number and two truth values are expected"),
        (OBSERVATION, r"the step of gym/Env gives one value \(ndarray\)"),
        ((OBSERVATION, 0.0), "the step of gym/Env gives 2 values, and"),
    ],
)
def test_a_step_of_another_kind_is_one_sentence(step, words):
    with pytest.raises(WrongInterface, match=words):
        check_reward_task(make_reward_task(Env(step=step)), steps=2)


def test_an_environment_of_its_own_error_keeps_it():
    class Broken(Env):
        def step(self, action):
            raise ValueError("the motor is off")

    with pytest.raises(RuntimeError, match="gym/Broken raised ValueError at step 0: the motor is off"):
        check_reward_task(make_reward_task(Broken()), steps=2)


def test_vectors_of_environments_and_other_objects_are_refused():
    vector = gymnasium.make_vec("Pendulum-v1", 2)
    with pytest.raises(WrongInterface, match="SyncVectorEnv is a vector of environments, and planning steps a single"):
        make_reward_task(vector)
    vector.close()
    batched = Env()
    batched.num_envs = 4096
    with pytest.raises(WrongInterface, match="Env is a vector of 4096 environments: give a single one"):
        make_reward_task(batched)
    old = type("OldEnv", (), {"reset": lambda self: OBSERVATION, "step": lambda self, action: OLD_STEP})()
    with pytest.raises(WrongInterface, match="OldEnv is no gymnasium.Env: derive it from that, or wrap it"):
        make_reward_task(old)
    with pytest.raises(WrongInterface, match="a reward task is a name or a gymnasium.Env; got int"):
        make_reward_task(7)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gym/Ant-v3", "gym/Ant-v3 is no longer part of Gymnasium: take gym/Ant-v5"),
        ("gym/Humanoid-v2", "gym/Humanoid-v2 is no longer part of Gymnasium: take gym/Humanoid-v5"),
        ("gym/HalfCheetah-v1", r"no environment 'HalfCheetah-v1' here: did you mean gym/HalfCheetah-v5\?"),
        ("gym/Pendulum-v0", r"no environment 'Pendulum-v0' here: did you mean gym/Pendulum-v1\?"),
    ],
)
def test_an_old_version_names_the_newest_one(name, words):
    with pytest.raises(ValueError, match=words):
        make_reward_task(name)
