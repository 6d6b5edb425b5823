"""The arm whose goals are places of its tip."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.sensors import PIXELS, Sensor


@pytest.fixture(scope="module")
def task():
    task = envs.make("reacher_tip")
    yield task
    task.close()


@settings(max_examples=50, deadline=None)
@given(angle=st.floats(-np.pi, np.pi), away=st.floats(0.05, 0.239))
def test_both_elbows_bring_the_tip_there(task, angle, away):
    goal = away * np.array([np.cos(angle), np.sin(angle)])
    task.check_goal(goal)
    elbows = task.elbows(goal)
    assert elbows[0, 1] > 0 > elbows[1, 1]
    for bent in elbows:
        state = task.pack(bent, np.zeros(2))
        np.testing.assert_allclose(task.achieved_goal(state), goal, atol=1e-9)
        assert task.success(state, goal) and task.cost(state, goal) < 1e-6
    middle = task.pack(elbows.mean(axis=0), np.zeros(2))  # the mean of both is neither
    assert task.success(middle, goal) == (0.24 - away <= task.tolerance)


def test_success_is_the_tip_in_place_and_slow(task):
    goal = np.array([0.1, 0.1])
    still = task.at_goal(goal)
    angles = task.qpos(still)
    assert task.success(still, goal) and not task.success(task.pack(angles, np.array([0.0, 1.1])), goal)
    near = goal + np.array([0.012, 0.0])
    assert task.success(still, near) and not task.success(still, near, share=0.5)


def test_a_goal_asks_for_the_tip_at_rest_and_shows_one_elbow(task):
    goal = np.array([0.05, -0.15])
    seen, mask = task.goal_observation(goal), task.goal_mask
    np.testing.assert_allclose(seen["tip"], goal, atol=1e-6)
    assert mask["tip"].all() and not mask["state"][:4].any() and mask["state"][4:].all()
    assert not seen["state"][4:].any()
    pictures = envs.make("reacher_tip")
    pictures.see([PIXELS], size=16)
    assert pictures.goal_mask["pixels"].all()  # a picture shows how the arm is bent
    pictures.see(["tip"])
    assert pictures.goal_mask.all()
    plain = envs.make("reacher")
    plain.see(["state", "tip"])
    np.testing.assert_array_equal(plain.observe(task.state)["tip"], task.observe(task.state)["tip"])


@pytest.mark.parametrize("goal", [[0.3, 0.0], [0.0, 0.01]])
def test_a_place_out_of_reach_is_refused(task, goal):
    with pytest.raises(ValueError, match=r"m from the shoulder, and the arm reaches from 0.042 to 0.240 m"):
        task.reset(options={"goal": goal})


def test_the_script_goes_to_the_nearer_elbow_and_arrives(task):
    rng = np.random.default_rng(0)
    starts, goals = map(np.stack, zip(*(task.sample_pair(rng) for _ in range(40)), strict=True))
    states, reached = starts, np.zeros(40, bool)
    for _ in range(task.budget):
        states = task.simulate(states, task.script(states, goals)[:, None])[:, 0]
        reached |= task.success(states, goals)
    assert reached.all()
    bent = [0, 0]
    for elbow in (0, 1):
        start = task.pack(task.elbows(goals)[:, elbow] + 0.1, np.zeros((40, 2)))
        state = start
        for _ in range(task.budget):
            state = task.simulate(state, task.script(state, goals)[:, None])[:, 0]
        bent[elbow] = int((np.sign(task.qpos(state)[:, 1]) == (1, -1)[elbow]).sum())
    assert min(bent) >= 35  # a few goals are so far out that both elbows are nearly one


@pytest.mark.parametrize(
    ("period", "symmetry", "words"),
    [
        (None, 4, "the symmetry of sensor 'pose' is 4, and it has 0 angles"),
        ((6.0, 6.0), 2, "and it has 2 angles"),
        ((6.0, None), 0, "is 0, and it has 1 angles"),
    ],
)
def test_rotations_of_no_angle_are_refused(period, symmetry, words):
    with pytest.raises(ValueError, match=words):
        Sensor("pose", (2,), period=period, symmetry=symmetry)


def test_a_symmetry_is_described_where_there_is_one():
    square = Sensor("pose", (2,), period=(None, 6.0), symmetry=4)
    assert Sensor.from_json(square.describe()) == square and square.describe()["symmetry"] == 4
    assert "symmetry" not in Sensor("pose", (2,)).describe()  # as in datasets of earlier versions
