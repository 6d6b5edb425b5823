"""Pairs: held out, exact, and a function of seed and number alone."""

from dataclasses import replace

import numpy as np
import pytest

import envs
from envs.behaviours import Behaviour, ColouredNoise, Mixture
from envs.streams import episode_rng
from experiments.evaluation.goals.protocols import LEWM_BUDGET, LEWM_OFFSET, already_solved, honest, lewm, strict
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.policy import NoopPolicy, RandomPolicy


@pytest.fixture(scope="module")
def task():
    return envs.make("two_room")


class Clock(Behaviour):
    """Trajectories that tell the time: the puck's x is the step, its y the episode."""

    def rollout(self, task, start, rngs, steps):
        time = np.broadcast_to(np.arange(steps + 1.0), (len(start), steps + 1))
        episode = np.broadcast_to(np.arange(len(start))[:, None], time.shape)
        states = task.pack(np.stack([time, episode], axis=-1), np.zeros((*time.shape, 2)))
        return states, np.zeros((len(start), steps, 2), np.float32)

    def describe(self):
        return {}


@pytest.mark.parametrize("steps", [LEWM_OFFSET, 60])
def test_the_goal_is_exactly_the_offset_ahead_in_the_same_trajectory(task, steps):
    pairs = lewm(task, Clock(), 200, steps, 0)
    start = task.qpos(pairs.states)
    np.testing.assert_array_equal(pairs.goals - start, np.broadcast_to([LEWM_OFFSET, 0.0], start.shape))
    np.testing.assert_array_equal(start[:, 1], np.arange(200))
    begins = set(start[:, 0].astype(int))
    assert min(begins) == 0 and max(begins) == steps - LEWM_OFFSET  # every moment from which the goal still lies ahead
    assert (pairs.goal_offset, pairs.budget, pairs.protocol) == (25, 50, "lewm")


def test_a_trajectory_too_short_for_the_offset_is_refused(task):
    with pytest.raises(ValueError, match="collection.steps is 24: take longer episodes"):
        lewm(task, Clock(), 1, 24, 0)


def test_held_out_starts_are_of_no_collected_trajectory(task):
    behaviour, steps = Mixture(), 40
    pairs = lewm(task, behaviour, 20, steps, 0)
    rngs = [episode_rng(0, "collect", episode) for episode in range(20)]
    collected, _ = behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)
    known = {tuple(position) for position in task.qpos(collected).reshape(-1, 2)}
    assert not known & {tuple(position) for position in task.qpos(pairs.states)}
    assert not known & {tuple(goal) for goal in pairs.goals}


@pytest.mark.parametrize("make", [honest, lambda *words: lewm(words[0], ColouredNoise(), words[1], 40, words[2])])
def test_pairs_are_a_function_of_seed_and_number(task, make):
    few, many = make(task, 3, 5), make(task, 12, 5)
    np.testing.assert_array_equal(few.states, many.states[:3])
    np.testing.assert_array_equal(few.goals, many.goals[:3])
    assert not np.array_equal(make(task, 3, 6).goals, few.goals)


def test_solved_starts_stay_in_and_are_counted(task):
    pairs = lewm(task, ColouredNoise(scale=0.0), 4, 40, 0)  # nothing moves: every goal is where it starts
    assert already_solved(task, pairs) == [True] * 4
    assert not any(already_solved(task, honest(task, 20, 0)))


def test_an_episode_lasts_for_the_budget_of_its_protocol(task):
    pairs = lewm(task, Mixture(), 8, 60, 0)
    records = run_episodes(task, RandomPolicy(0), pairs)
    failed = [record.steps for record in records if not record.success]
    assert failed and set(failed) == {LEWM_BUDGET} != {task.budget}


def test_a_part_comes_out_as_it_does_among_all(task):
    pairs = honest(task, 7, 0)
    whole = run_episodes(task, RandomPolicy(0), pairs)
    parts = [run_episodes(task, RandomPolicy(0), pairs.part(begin, begin + 3)) for begin in (0, 3, 6)]
    assert [len(part) for part in parts] == [3, 3, 1]
    for one, other in zip(whole, sum(parts, []), strict=True):
        np.testing.assert_array_equal(one.states, other.states)


def test_strict_has_the_pairs_of_honest_within_half_the_tolerance(task):
    pairs, same = strict(task, 4, 0), honest(task, 4, 0)
    np.testing.assert_array_equal(pairs.states, same.states)
    np.testing.assert_array_equal(pairs.goals, same.goals)
    near = task.pack(pairs.goals + [0.7 * task.tolerance, 0.0], np.zeros_like(pairs.goals))
    assert task.success(near, pairs.goals).all() and not task.success(near, pairs.goals, pairs.tolerance).any()


def test_a_strict_goal_counts_once_it_is_held(task):
    """Success needs as many moments in a row within the tolerance as the protocol says, counted from the first step."""
    pairs = strict(task, 3, 0)
    at_goal = replace(pairs, states=np.stack([task.at_goal(goal) for goal in pairs.goals]))
    records = run_episodes(task, NoopPolicy(), at_goal)
    assert [record.success for record in records] == [True] * 3
    assert [len(record.states) - 1 for record in records] == [pairs.hold] * 3
    passing = replace(at_goal, hold=1)
    assert [len(record.states) - 1 for record in run_episodes(task, NoopPolicy(), passing)] == [1] * 3
    still, moving = np.zeros((3, 2)), np.tile([2.0, 0.0], (3, 1))
    goals = np.tile([0.5, 0.5], (3, 1))  # in the open, and passed with three moments near it
    passes = replace(pairs, states=task.pack(goals - [0.2, 0.0], moving), goals=goals, budget=12, tolerance=1.0)
    assert not any(record.success for record in run_episodes(task, NoopPolicy(), replace(passes, hold=4)))
    assert all(record.success for record in run_episodes(task, NoopPolicy(), replace(passes, hold=3)))
    rests = replace(passes, states=task.pack(goals, still))
    assert all(record.success for record in run_episodes(task, NoopPolicy(), replace(rests, hold=6)))
