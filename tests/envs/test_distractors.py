import numpy as np
import pytest

import envs
from envs.streams import episode_rng
from envs.vision.camera import available
from envs.vision.distractors import DISTRACTORS, Distractor, seed_of


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def task():
    task = envs.make("two_room")
    yield task
    task.close()


def episode(task, steps=6):
    """States of a body that stands still, one control period apart."""
    state = task.sample_state(np.random.default_rng(0))
    states = np.repeat(state[None], steps, axis=0)
    states[:, 0] = task.control_period * np.arange(steps)
    return states


def rng(number=0):
    return episode_rng(0, "sense", number)


@pytest.mark.parametrize("name", sorted(DISTRACTORS))
def test_an_episode_looks_the_same_step_by_step(task, name):
    task.see(["pixels"], distractor=name)
    states, stepwise = episode(task), rng()
    together = task.sense(states[None], [rng()])["pixels"][0]
    for state, picture in zip(states, together, strict=True):
        np.testing.assert_array_equal(task.sense(state[None], [stepwise])["pixels"][0], picture)
    assert not np.array_equal(together, task.sense(states[None], [rng(1)])["pixels"][0]), "another episode"
    assert not np.array_equal(together, task.observe(states)["pixels"]), "clean"


@pytest.mark.parametrize(("name", "moves"), [("body", True), ("strong_texture", True), ("light", False)])
def test_what_drifts_drifts_while_the_body_stands(task, name, moves):
    task.see(["pixels"], distractor=name)
    first, *_, last = task.sense(episode(task)[None], [rng()])["pixels"][0]
    assert np.array_equal(first, last) is not moves


def test_goals_have_the_distractor_too(task):
    task.see(["pixels"], distractor="body")
    goals = np.stack([task.sample_goal(np.random.default_rng(seed)) for seed in range(3)])
    seen = task.goal_observation(goals)["pixels"]
    np.testing.assert_array_equal(seen[1], task.goal_observation(goals[1])["pixels"])
    blue = (seen[..., 2].astype(int) - seen[..., 0] > 80).any(axis=(1, 2))
    assert blue.all()


def test_vectors_are_not_disturbed(task):
    task.see(["pixels", "proprio"], distractor="noise")
    states = episode(task)
    np.testing.assert_array_equal(task.sense(states[None], [rng()])["proprio"][0], task.observe(states)["proprio"])


def test_a_seed_does_not_depend_on_draws():
    one, other = rng(), rng()
    one.random(7)
    assert seed_of(one) == seed_of(other) != seed_of(rng(1))


def test_an_unknown_distractor_is_named():
    with pytest.raises(ValueError, match="no distractor 'fog': choose from body, mild_texture"):
        Distractor("fog")


def test_a_task_describes_its_distractor_and_states_have_none():
    """Data are taken for those of a recipe by this description: clean ones must not pass for disturbed ones."""
    task = envs.make("two_room")
    assert "distractor" not in task.describe()
    task.see(["pixels"], 16)
    assert task.describe()["distractor"] is None
    task.see(["pixels"], 16, "body")
    assert task.describe()["distractor"] == "body"
    task.close()
