"""Many environments under one controller: each gets what it would get alone."""

from dataclasses import replace

import gymnasium
import jax
import numpy as np
import pytest

from planning import CEM, ActionSpec, Agent, GoalDistance
from planning.control import Controller, Goal, Reason, Source, VectorController

from ..toys import PERIOD, box, point_mass
from .test_sensors import GOAL as GOAL_BY_SENSOR
from .test_sensors import SEEN, seeing

COUNT = 5  # more than one group of those that plan side by side
PLANNER = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
GOALS = np.linspace([-0.4, 0.2], [0.4, -0.3], COUNT)


def make_agent(spec=None):
    model = point_mass(action_block=2)
    return Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, spec or box(), replan_every=2)


def alone(agent, seed, episode, goal):
    """A controller at the start of an episode with this number."""
    control = Controller(agent, seed)
    control.reset(goal, seed)
    for _ in range(episode):
        control.reset(goal, previous=control.engine.contract.rest_action)
    return control


class Points:
    """Point masses in the plane."""

    def __init__(self, count):
        self.position, self.velocity = np.zeros((count, 2)), np.zeros((count, 2))

    def step(self, actions):
        self.velocity = self.velocity + PERIOD * actions
        self.position = self.position + PERIOD * self.velocity


def test_every_environment_gets_the_actions_of_a_controller_of_its_own():
    agent, points = make_agent(), Points(COUNT)
    several = VectorController(agent, COUNT, seed=3)
    several.reset(GOALS)
    single = [alone(agent, 3, number, goal) for number, goal in enumerate(GOALS)]
    for _ in range(7):
        actions = several.act(points.position)
        assert actions.dtype == np.float32 and actions.shape == (COUNT, 2)
        expected = [control.act(position) for control, position in zip(single, points.position, strict=True)]
        np.testing.assert_allclose(actions, expected, atol=1e-6)
        points.step(actions)
    assert several.sources == [Source.PLAN] * COUNT and several.reasons == [Reason.OK] * COUNT


def test_an_episode_begins_where_it_ended_and_the_others_go_on():
    agent, points = make_agent(), Points(COUNT)
    several, undisturbed = VectorController(agent, COUNT, seed=3), VectorController(agent, COUNT, seed=3)
    for control in (several, undisturbed):
        control.reset(GOALS)
        control.act(points.position)
    ended = np.array([False, True, False, False, True])
    goals = np.where(ended[:, None], -GOALS, np.nan)  # goals of the others are not even looked at
    several.reset(goals, which=ended)
    moved = points.position + 0.1
    actions, before = several.act(moved), undisturbed.act(moved)
    np.testing.assert_array_equal(actions[~ended], before[~ended])
    for number, place in enumerate(np.flatnonzero(ended)):
        expected = alone(agent, 3, COUNT + number, goals[place]).act(moved[place])
        np.testing.assert_allclose(actions[place], expected, atol=1e-6)


def test_environments_that_are_not_active_rest_and_keep_their_state():
    agent, observations = make_agent(ActionSpec.of([-1, -1], [1, 1], PERIOD, rest=[0.25, -0.25])), np.zeros((COUNT, 2))
    active = np.array([True, True, False, True, False])
    several, whole = VectorController(agent, COUNT), VectorController(agent, COUNT)
    for control in (several, whole):
        control.reset(GOALS)
    unread = np.where(active[:, None], observations, np.nan)
    np.testing.assert_array_equal(several.act(unread, active)[~active], [[0.25, -0.25]] * 2)
    np.testing.assert_array_equal(several.act(observations, ~active)[~active], whole.act(observations)[~active])


def test_equal_seeds_give_equal_episodes():
    several = VectorController(make_agent(), COUNT, seed=1)
    several.reset(GOALS)
    first = several.act(np.zeros((COUNT, 2)))
    several.reset()
    assert not np.array_equal(several.act(np.zeros((COUNT, 2))), first)
    several.reset(seed=1)
    np.testing.assert_array_equal(several.act(np.zeros((COUNT, 2))), first)


def test_another_goal_in_the_same_episode_is_reached_there():
    several, points = VectorController(make_agent(), 2), Points(2)
    several.reset([[0.3, 0.0], [0.3, 0.0]])
    for step in range(70):
        if step == 10:
            several.redirect([[0.0, 0.2], [9.0, 9.0]], which=np.array([True, False]))
        points.step(several.act(points.position))
    np.testing.assert_allclose(points.position, [[0.0, 0.2], [0.3, 0.0]], atol=0.06)


def test_while_planning_fails_in_one_environment_it_rests_and_then_goes_on():
    agent = make_agent()
    several = VectorController(agent, 2)
    several.reset(GOALS[:2])
    working = several._agent
    several._agent = replace(
        working, model=replace(working.model, params=jax.tree.map(lambda leaf: leaf * np.nan, working.model.params))
    )
    np.testing.assert_array_equal(several.act(np.zeros((2, 2))), np.zeros((2, 2)))
    assert several.sources == [Source.BRAKE] * 2 and several.reasons == [Reason.NONFINITE_PLAN] * 2
    several._agent = working
    assert np.abs(several.act(np.zeros((2, 2)))).min() > 0
    assert several.sources == [Source.PLAN] * 2


def test_observations_and_goals_by_sensor():
    agent = seeing()
    several = VectorController(agent, 2, seed=5)
    stacked = {name: np.stack([np.asarray(value)] * 2) for name, value in SEEN.items()}
    goals = {name: np.stack([np.asarray(value)] * 2) for name, value in GOAL_BY_SENSOR.items()}
    several.reset(goals)
    expected = [alone(agent, 5, number, GOAL_BY_SENSOR).act(SEEN) for number in range(2)]
    np.testing.assert_allclose(several.act(stacked), expected, atol=1e-6)
    several.reset([Goal({"speed": [0.0, 0.0]}), Goal(GOAL_BY_SENSOR)])
    assert np.isfinite(several.act([SEEN, SEEN])).all()


class PointEnv(gymnasium.Env):
    """A point mass whose episodes end after a number of steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.points, self.steps = Points(1), 0
        return self.points.position[0].astype(np.float32), {}

    def step(self, action):
        self.points.step(action[None])
        self.steps += 1
        position = self.points.position[0].astype(np.float32)
        return position, -float(np.linalg.norm(position - GOALS[0])), False, self.steps == 50, {}


def test_vector_environments_of_gymnasium():
    envs = gymnasium.vector.SyncVectorEnv([PointEnv] * 3)
    control = VectorController(make_agent(), 3)
    observations, _ = envs.reset(seed=0)
    control.reset([GOALS[0]] * 3)
    last = None
    for _ in range(102):  # two episodes, and the steps that Gymnasium resets in
        observations, rewards, terminated, truncated, _ = envs.step(control.act(observations))
        if (ended := terminated | truncated).any():
            last = rewards
            control.reset(which=ended)
    assert last is not None and (last > -0.1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda control: control.act(np.zeros((2, 2))),
            "expected observations of 5 environments, one entry for each; got 2",
        ),
        (
            lambda control: control.act({"state": np.zeros((3, 2))}),
            r"expected observations of 5 environments; got \{'state': 3\}",
        ),
        (lambda control: control.act(1.0), "one entry for each; got 1.0"),
        (lambda control: control.act([[0, 0]] * 4 + [[0, np.nan]]), "environment 4: the observation must be finite"),
        (lambda control: control.reset([[0, 0, 0]] * COUNT), "environment 0: the goal must have shape"),
        (lambda control: control.reset(which=[1, 0, 0, 0, 0]), "expected 5 truth values, one for each environment"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(call, message):
    control, other = VectorController(make_agent(), COUNT), VectorController(make_agent(), COUNT)
    for each in (control, other):
        each.reset(GOALS)
    with pytest.raises(ValueError, match=message):
        call(control)
    np.testing.assert_array_equal(control.act(np.zeros((COUNT, 2))), other.act(np.zeros((COUNT, 2))))


def test_what_needs_an_episode_says_so():
    control = VectorController(make_agent(), 2)
    with pytest.raises(RuntimeError, match="act needs episodes: call reset"):
        control.act(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="the first reset begins an episode in every environment"):
        control.reset(GOALS[:2], which=[True, False])
    with pytest.raises(ValueError, match="environment 0: reset needs a goal the first time"):
        control.reset()
    with pytest.raises(ValueError, match="num_envs must be at least 1; got 0"):
        VectorController(make_agent(), 0)
