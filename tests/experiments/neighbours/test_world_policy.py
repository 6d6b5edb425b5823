"""The planner in a world of stable-worldmodel: episodes, goals and columns as it hands them over."""

import importlib.util

import numpy as np
import pytest

from experiments.neighbours import WorldPolicy
from planning import CEM, ActionSpec, Agent, GoalDistance
from planning.control import Controller

from ...planning.toys import PERIOD, box, point_mass

COUNT = 3
PLANNER = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)


class Space:
    shape = (2,)


class Pool:
    """Point masses with the entries of stable-worldmodel's `EnvPool`: [N, 1, ...], updated in place."""

    num_envs = COUNT
    single_action_space = Space()

    def __init__(self, goals):
        self.position, self.velocity = np.zeros((COUNT, 2)), np.zeros((COUNT, 2))
        self.goals, self.steps, self.over = np.asarray(goals), np.zeros(COUNT, int), np.zeros(COUNT, bool)

    def infos(self, **changed):
        found = {"proprio": self.position, "goal_proprio": self.goals, "step_idx": self.steps, "terminated": self.over}
        stacked = {name: np.array(values)[:, None] for name, values in found.items()}
        return {**stacked, "env_name": [["point"]] * COUNT, **changed}

    def step(self, actions):
        self.velocity = self.velocity + PERIOD * np.where(self.over[:, None], 0, actions)
        self.position = self.position + PERIOD * self.velocity
        self.steps = self.steps + 1

    def reset(self, place, goal):
        self.position[place], self.velocity[place], self.steps[place] = 0, 0, 0
        self.goals[place] = goal


def make_agent():
    return Agent(point_mass(action_block=2), PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, box(), replan_every=2)


def entered(pool, **settings):
    policy = WorldPolicy(make_agent(), {"state": "proprio"}, **settings)
    policy.set_env(pool)
    return policy


def test_each_environment_is_driven_to_its_own_goal():
    pool = Pool([[0.2, 0.0], [0.0, -0.2], [-0.1, 0.1]])
    policy = entered(pool)
    for _ in range(60):
        pool.step(policy.get_action(pool.infos()))
    np.testing.assert_allclose(pool.position, pool.goals, atol=0.06)


def test_an_episode_begins_with_its_first_step_and_its_own_goal():
    pool = Pool([[0.2, 0.0], [0.0, -0.2], [-0.1, 0.1]])
    policy = entered(pool, seed=4)
    for _ in range(3):
        pool.step(policy.get_action(pool.infos()))
    pool.reset(1, [0.3, 0.3])
    actions = policy.get_action(pool.infos(_needs_flush=np.array([False, True, False])))
    alone = Controller(make_agent())
    alone.reset([0.3, 0.3], seed=4)
    for _ in range(COUNT):  # it is the fourth episode
        alone.reset(previous=[0, 0])
    np.testing.assert_allclose(actions[1], alone.act([0, 0]), atol=1e-6)


def test_an_episode_that_is_over_gets_nan():
    pool = Pool([[0.2, 0.0], [0.0, -0.2], [-0.1, 0.1]])
    policy = entered(pool)
    pool.step(policy.get_action(pool.infos()))
    pool.over[2] = True
    actions = policy.get_action(pool.infos())
    assert np.isnan(actions[2]).all() and np.isfinite(actions[:2]).all()


def test_columns_are_named_as_stable_worldmodel_names_them():
    infos = Pool(np.zeros((COUNT, 2))).infos()
    infos["target"] = infos.pop("goal_proprio")
    policy = entered(Pool(np.zeros((COUNT, 2))), goals={"state": "target"})
    assert np.isfinite(policy.get_action(infos)).all()
    policy = entered(Pool(np.zeros((COUNT, 2))))
    with pytest.raises(ValueError, match=r"no column 'goal_proprio', which the sensor state is read from at the goal"):
        policy.get_action(infos)
    with pytest.raises(ValueError, match="columns names 'camera', and the model has the sensors state"):
        WorldPolicy(make_agent(), {"camera": "pixels"})


def test_worlds_that_do_not_fit():
    with pytest.raises(RuntimeError, match="the policy is in no world"):
        WorldPolicy(make_agent()).get_action({})
    pool = Pool(np.zeros((COUNT, 2)))
    pool.single_action_space = type("Space", (), {"shape": (3,)})
    with pytest.raises(ValueError, match=r"the world takes actions of shape \(3,\), and the model of 2 numbers"):
        entered(pool)
    pool = Pool(np.zeros((COUNT, 2)))
    pool.position[1] = np.nan
    with pytest.raises(ValueError, match="environment 1: the observation must be finite"):
        entered(pool).get_action(pool.infos())


@pytest.mark.skipif(
    importlib.util.find_spec("stable_worldmodel") is None, reason="stable-worldmodel is not installed (extra swm)"
)
def test_its_own_world_drives_the_policy():
    import stable_worldmodel

    world = stable_worldmodel.World("swm/TwoRoom-v1", num_envs=2, max_episode_steps=20, image_shape=(64, 64))
    model = point_mass(action_block=2)
    spec = ActionSpec.of([-1, -1], [1, 1], PERIOD)
    agent = Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, spec, replan_every=2)
    world.set_policy(WorldPolicy(agent, {"state": "proprio"}, {"state": "goal_state"}))
    assert 0 <= world.evaluate(episodes=3, seed=0)["success_rate"] <= 100
