"""What is right and wrong with goals: whether the judge is consistent, goals too easy, and within reach of the data."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

import envs
from envs.behaviours import Behaviour, ColouredNoise
from envs.sensors import at
from envs.streams import episode_rng
from envs.task import PlanarView
from worldmodel.data.episodes import EpisodeData

from ..evaluation.moments import spec_of
from .finding import Finding, judged

STREAM = "validate"  # of random numbers; no training and no evaluation draws from it
EASY = 0.05  # most successes of random actions
PAIRS = 50  # of start and goal
RESETS = 50
ROUND_A_WALL = 0.1  # least share of episodes that go round a wall
WITHIN = 0.9  # least share of goals near what the data visit
CLOSE = 0.1  # distance that is near, as a share of the goals' spread


def judge(env: gymnasium.Env) -> Iterator[Finding]:
    """Whether compute_reward is that of the steps and takes batches, and how often a reset begins at its goal."""
    inner: Any = env.unwrapped
    achieved, desired, rewards, solved = list[ndarray](), list[ndarray](), list[float](), 0
    env.action_space.seed(1)
    for seed in range(RESETS):
        seen, _ = env.reset(seed=seed)
        before = np.asarray(seen["achieved_goal"], np.float64), np.asarray(seen["desired_goal"], np.float64)
        solved += bool(_reached(inner, *before))
        if seed < 10:
            seen, reward, *_ = env.step(env.action_space.sample())
            achieved.append(np.asarray(seen["achieved_goal"]))
            desired.append(np.asarray(seen["desired_goal"]))
            rewards.append(float(reward))
    again = [float(inner.compute_reward(a, d, {})) for a, d in zip(achieved, desired, strict=True)]
    yield judged(
        "reward",
        np.allclose(again, rewards),
        "compute_reward gives the reward of each step"
        if np.allclose(again, rewards)
        else f"a step gave {rewards[0]:g} and compute_reward {again[0]:g} for it",
        "return self.compute_reward(achieved_goal, desired_goal, info) from step, of the state after it",
        bad="fault",
    )
    try:
        batch = np.asarray(inner.compute_reward(np.stack(achieved), np.stack(desired), {}), np.float64)
        together = batch.shape == (len(again),) and np.allclose(batch, again)
    except Exception:  # a function for one pair may raise anything on a batch
        together = False
    yield judged(
        "batches",
        bool(together),
        "compute_reward takes batches of goals"
        if together
        else "compute_reward takes one pair at a time, which is slower",
        "compute norms with axis=-1, and compare with array operations",
    )
    share = solved / RESETS
    yield judged(
        "begins at the goal",
        share <= EASY,
        f"{share:.0%} of {RESETS} resets begin where the goal is reached",
        "draw goals farther from the start, or make the tolerance smaller; such resets are drawn again",
        value=share,
        bad="fault" if share == 1 else "warning",
    )


def _reached(inner: Any, achieved: ndarray, desired: ndarray) -> bool:
    for method in ("is_success", "_is_success"):
        if callable(reached := getattr(inner, method, None)):
            return float(np.asarray(reached(achieved, desired))) > 0
    return float(inner.compute_reward(achieved, desired, {})) >= float(inner.compute_reward(desired, desired, {}))


def exactness(task: envs.Task) -> Iterator[Finding]:
    """Whether the task goes on exactly from a state in the middle of an episode."""
    rng = episode_rng(0, STREAM, 0)
    start, actions = task.sample_state(rng)[None], _random(task, 1, 20, rng)
    whole = task.simulate(start, actions)
    rest = task.simulate(whole[:, 9], actions[:, 10:])
    exact = np.array_equal(whole[:, 10:], rest)
    kind, word = task.describe().get("simulator", "mujoco.rollout"), "goes" if exact else "does not go"
    yield judged(
        "states",
        exact,
        f"an episode {word} on exactly from a stored state ({kind})",
        "keep everything that a step depends on in numeric attributes, or give get_state() and set_state(state)",
        bad="fault",
    )


def easy(task: envs.Task) -> Iterator[Finding]:
    """How often random actions and none reach a goal within the budget."""
    rngs = [episode_rng(1, STREAM, index) for index in range(PAIRS)]
    drawn = [task.sample_pair(rng) for rng in rngs]
    starts, goals = np.stack([each for each, _ in drawn]), np.stack([goal for _, goal in drawn])
    low, high = task.action_space.low, task.action_space.high
    random = np.stack([rng.uniform(low, high, (task.budget, len(low))) for rng in rngs])
    still = np.broadcast_to(np.clip(0.0, low, high), random.shape)
    for name, actions in (("random", random), ("no action", still)):
        reached = _reaches(task, starts, goals, np.asarray(actions, np.float64))
        share = float(reached.mean())
        yield judged(
            f"success of {name}",
            share <= EASY,
            f"{share:.0%} of {PAIRS} goals within {task.budget} steps (at most {EASY:.0%})",
            "make the tolerance smaller, the time shorter, or draw goals farther away: success would say little",
            value=share,
        )


def _reaches(
    task: envs.Task, starts: Float[ndarray, "B S"], goals: Float[ndarray, "B G"], actions: Float[ndarray, "B T A"]
) -> Bool[ndarray, "B"]:
    states = task.simulate(starts, actions)
    reached: ndarray = np.asarray(task.success(states, goals[:, None]))
    return np.asarray(reached.any(axis=1))


class Recorded:
    """Episodes of a behaviour, as `jepa-mpc collect` would record them, and steps a second."""

    def __init__(self, task: envs.Task, behaviour: Behaviour, episodes: int, steps: int):
        rngs = [episode_rng(2, STREAM, index) for index in range(episodes)]
        starts = np.stack([task.sample_state(rng) for rng in rngs])
        began = time.perf_counter()
        self.states, actions = behaviour.rollout(task, starts, rngs, steps)
        self.rate = episodes * steps / max(time.perf_counter() - began, 1e-9)
        sensed = task.sense(self.states, rngs)
        bounds = (task.action_space.low, task.action_space.high)
        rows = [at(sensed, index) for index in range(episodes)]
        self.data = EpisodeData.of(rows, actions, bounds, states=self.states, spec=spec_of(task))


def reach(task: envs.Task, states: Float[ndarray, "M S"], what: str) -> Iterator[Finding]:
    """Whether the goals that the task draws are near what data visit, and whether those go round its walls.

    Args:
      task: with goals.
      states: simulator states of the data, all episodes after one another.
      what: the data, for messages.
    """
    rng = episode_rng(3, STREAM, 0)
    goals = np.stack([task.sample_goal(rng) for _ in range(200)])
    visited = task.achieved_goal(states[:: max(1, len(states) // 5000)])
    spread = goals.std(axis=0)
    used = spread > 1e-9  # speeds that a goal asks to be zero say nothing about where it is
    scaled = spread[used] if used.any() else np.ones(goals.shape[1])
    columns = used if used.any() else np.ones(goals.shape[1], bool)
    nearest = np.array(
        [np.sqrt(np.square((visited[:, columns] - goal[columns]) / scaled).mean(axis=1)).min() for goal in goals]
    )
    share = float(np.mean(nearest < CLOSE))
    yield judged(
        "goals within reach",
        share >= WITHIN,
        f"{share:.0%} of {len(goals)} goals are near a place that {what} visits (at least {WITHIN:.0%})",
        "record for longer, with another behaviour, or draw goals where the robot can go",
        value=share,
        bad="fault" if share == 0 else "warning",
    )


def walls(task: envs.Task, states: Sequence[ndarray] | ndarray) -> Iterator[Finding]:
    """Whether recorded episodes, each with states `[T, S]`, go round the walls of the task, where it has some."""
    if not (isinstance(task, PlanarView) and task.scene().walls):
        return
    share = float(np.mean([task.needs_detour(each[:1], task.achieved_goal(each)).any() for each in states]))
    yield judged(
        "walls",
        share >= ROUND_A_WALL,
        f"{share:.0%} of the episodes reach the other side of a wall (at least {ROUND_A_WALL:.0%})",
        "record ways through each door, in both directions: what was never crossed is a dead end to the model",
        value=share,
    )


def _random(task: envs.Task, batch: int, steps: int, rng: np.random.Generator) -> Float[ndarray, "B T A"]:
    noise = ColouredNoise()
    low, high = task.action_space.low.astype(float), task.action_space.high.astype(float)
    return np.stack([noise.actions(low, high, steps, rng) for _ in range(batch)]).astype(np.float64)
