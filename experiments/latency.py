"""How long a control step takes: one environment, warmed up, blocked until the action is there."""

from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs import Task
from planning import Agent
from planning.control import Controller

from .protocols import Pairs

EPISODE = 25  # plans before the next pair: early and late moments of an episode are planned from alike


def measure(task: Task, agent: Agent, pairs: Pairs, plans: int) -> Float[ndarray, "N"]:
    """Milliseconds of `Controller.act` in closed loop, one planning step a call, over the pairs in turn."""
    controller = Controller(agent)
    controller.warmup()
    milliseconds = []
    for plan in range(plans):
        if plan % EPISODE == 0:
            pair = (plan // EPISODE) % len(pairs)
            state = pairs.states[pair]
            controller.reset(goal=task.goal_observation(pairs.goals[pair]), seed=pair)
        observation = task.observe(state)
        began = time.perf_counter()
        action = controller.act(observation)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        state = task.simulate(state[None], action[None, None].astype(np.float64))[0, 0]
    return np.asarray(milliseconds)
