"""One loop for goals and rewards: it does what a loop by hand does, and counts what earlier versions counted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.registry import make_reward_task
from envs.reward_batch import RewardBatch
from envs.reward_task import RewardTask
from experiments import build
from experiments.evaluation.episodes import execute
from experiments.evaluation.goals.measure import make_policy
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import GoalEpisodes, run_episodes
from experiments.evaluation.moments import Senses, goal_rows, spec_of
from experiments.evaluation.policy import Episodes, ModelPolicy, RandomPolicy
from experiments.evaluation.rewards.rollout import episode_returns
from planning import Agent
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create

SHAPES = ("planner.horizon=6", "planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1")


@pytest.fixture(scope="module")
def task() -> envs.Task:
    """Two sensors, of which the second is missing in a fifth of the readings."""
    return envs.make("two_room_sensors")


@pytest.fixture(scope="module")
def agent(task) -> Agent:
    shapes = {"latent_size": 4, "width": 8, "head_width": 8, "depth": 1}
    config = ModelConfig(observation=spec_of(task), action_size=2, **shapes)
    return build.agent(build.compose("plan", "task=two_room", *SHAPES), freeze(create(config, 0), config), task)


def pendulum() -> RewardTask:
    return make_reward_task("gym/Pendulum-v1", 4)


@pytest.mark.parametrize(("seed", "steps"), [(0, [*4 * [80], 71, *11 * [80]]), (3, 16 * [80])])
def test_random_reaches_what_it_reached_before_goals_and_rewards_shared_a_loop(seed, steps):
    two_room = envs.make("two_room")
    records = run_episodes(two_room, RandomPolicy(seed), honest(two_room, 16, seed))
    assert [record.steps for record in records] == steps
    assert sum(record.success for record in records) == steps.count(71)


@pytest.mark.parametrize(
    ("seed", "returns"),
    [
        (0, [-1245.416571508605, -1204.0022772174243, -1111.1045021545433, -992.3216884539473]),
        (5, [-1619.4919211024508, -1015.1095859625428, -1479.4282380790821, -1217.838850391765]),
    ],
)
def test_random_returns_what_it_returned_before_goals_and_rewards_shared_a_loop(seed, returns):
    np.testing.assert_allclose(episode_returns(pendulum, RandomPolicy(seed), 4, seed), returns, rtol=1e-9)


def test_the_ceiling_reaches_what_it_reached_before(task, agent):
    """Each start alone as among others, since episodes have random numbers of their own."""
    pairs = honest(task, 3, 0)
    records = run_episodes(task, make_policy("ceiling", task, agent, 0), pairs)
    assert all(record.success and record.steps < 60 for record in records)
    (alone,) = run_episodes(task, make_policy("ceiling", task, agent, 0), pairs.part(1, 2))
    np.testing.assert_array_equal(alone.states, records[1].states)


def test_another_model_and_other_goals_compile_nothing_again(task, compiled):
    """A new process has forgotten every program, and loads those that an earlier one stored."""

    def plan(seed):
        shapes = {"latent_size": 4, "width": 8, "head_width": 8, "depth": 1}
        config = ModelConfig(observation=spec_of(task), action_size=2, **shapes)
        cfg = build.compose("plan", "task=two_room", *SHAPES)
        policy = ModelPolicy(build.agent(cfg, freeze(create(config, seed), config), task), seed)
        episodes = GoalEpisodes(task, honest(task, 2, seed))
        policy.reset(episodes)
        policy.act(episodes.observe(), episodes.active)

    plan(0)
    first = compiled()
    jax.clear_caches()
    plan(1)
    assert any("step_many" in name for name in first)
    assert compiled() == first


class Watched:
    """A policy, and what it saw."""

    def __init__(self, policy: ModelPolicy):
        self.policy, self.name, self.reset = policy, policy.name, policy.reset
        self.seen: list[np.ndarray] = []

    def act(self, observations, active):
        self.seen.append(observations)
        return self.policy.act(observations, active)


def test_a_model_does_in_the_loop_what_its_agent_does_by_hand(task, agent):
    pairs, seed, policy = honest(task, 2, 3), 3, Watched(ModelPolicy(agent, 3))
    records = run_episodes(task, policy, pairs)
    begin = jax.jit(lambda number, goal: agent.reset(agent.init(jax.random.key(0)), goal, jax.random.key(seed), number))
    step, missing = jax.jit(agent.step), 0
    for number, record in enumerate(records):
        senses, state = Senses(task, seed, [number]), pairs.states[number]
        search = begin(jnp.int32(number), jnp.asarray(goal_rows(task, pairs.goals[number])))
        for expected, seen in zip(record.states[1:], policy.seen, strict=False):
            row = senses.rows(state[None])[0]
            np.testing.assert_allclose(seen[number], row, atol=1e-5)
            missing += row[-1] == 0
            action, _, search = step(search, jnp.asarray(row))
            state = task.simulate(state[None], np.asarray(action)[None, None].astype(np.float64))[0, 0]
            np.testing.assert_allclose(state, expected, atol=1e-5)
    assert missing > 10


def test_every_policy_reads_the_same_noise(task, agent):
    pairs = honest(task, 3, 5)
    read = []

    class Still:
        name = "still"

        def reset(self, episodes: Episodes) -> None:
            pass

        def act(self, observations, active):
            read.append(observations)
            return np.zeros((3, 2), np.float32)

    for _ in range(2):
        execute(Still(), GoalEpisodes(task, pairs))
    one, other = np.split(np.asarray(read), 2)
    np.testing.assert_array_equal(one, other)
    assert (one[..., -1] == 0).any()


class Counting:
    """Zero, always; and how often, in how many episodes that still run."""

    name = "counting"

    def __init__(self) -> None:
        self.active: list[int] = []

    def reset(self, episodes: Episodes) -> None:
        self.size = len(episodes.low)

    def act(self, observations, active):
        self.active.append(int(active.sum()))
        return np.zeros((len(observations), self.size), np.float32)


def test_it_ends_with_the_last_episode_and_says_how_far_it_is():
    two_room, policy, said = envs.make("two_room"), Counting(), []
    pairs = honest(two_room, 2, 0)
    pairs.states[:] = two_room.pack(pairs.goals, np.zeros_like(pairs.goals))  # at the goal already
    records = run_episodes(two_room, policy, pairs, lambda *each: said.append(each))
    assert [record.success for record in records] == [True, True] and policy.active == [2]
    assert said == [(1, two_room.budget)]


def test_returns_by_hand_are_those_of_the_loop_and_progress_ends_full():
    policy, said = Counting(), []
    returns = episode_returns(pendulum, policy, 2, 1, lambda *each: said.append(each))
    batch, total = RewardBatch(pendulum, 2, 1, stream="evaluate"), np.zeros(2)
    for _ in range(50):
        total += batch.step(np.zeros((2, 1))).rewards
    np.testing.assert_allclose(returns, total, rtol=1e-5)
    assert policy.active == 50 * [2] and said[0] == (1, 50) and said[-1] == (50, 50)
    batch.close()
