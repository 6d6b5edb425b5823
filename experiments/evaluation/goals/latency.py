"""Latency of a control step: one environment, after warm-up, blocking until the action is available."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs import Task
from envs.sensors import at
from planning import Agent
from planning.control import Controller

from ..moments import goal_for, rows_of
from ..reactive import ReactivePolicy
from .protocols import Pairs
from .rollout import GoalEpisodes

EPISODE = 25  # plans before the next pair: so that early and late moments of episodes both occur


def measure(task: Task, agent: Agent, pairs: Pairs, plans: int) -> Float[ndarray, "N"]:
    """Milliseconds of `Controller.act` in closed loop, one planning step per call, cycling through the pairs."""
    controller = Controller(agent)
    controller.warmup()

    def reset(pair: int) -> None:
        controller.reset(goal=goal_for(task, pairs.goals[pair]), seed=pair)

    return _closed_loop(task, pairs, plans, reset, controller.act)


def measure_reactive(
    task: Task, policy: ReactivePolicy, pairs: Pairs, calls: int, model: Any = None
) -> Float[ndarray, "N"]:
    """Milliseconds of a control step of a policy that does not plan."""
    running = np.ones(1, bool)

    def reset(pair: int) -> None:
        policy.reset(GoalEpisodes(task, pairs.part(pair, pair + 1), model))

    def act(observation: Any) -> Float[ndarray, "A"]:
        return policy.act(rows_of(task, at(observation, None), model), running)[0]

    reset(0)
    act(task.observe(pairs.states[0]))  # compiles
    return _closed_loop(task, pairs, calls, reset, act)


def _closed_loop(
    task: Task, pairs: Pairs, calls: int, reset: Callable[[int], None], act: Callable[[Any], ndarray]
) -> Float[ndarray, "N"]:
    milliseconds = []
    for call in range(calls):
        if call % EPISODE == 0:
            pair = (call // EPISODE) % len(pairs)
            state = pairs.states[pair]
            reset(pair)
        observation = task.observe(state)
        began = time.perf_counter()
        action = act(observation)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        state = task.simulate(state[None], action[None, None].astype(np.float64))[0, 0]
    return np.asarray(milliseconds)
