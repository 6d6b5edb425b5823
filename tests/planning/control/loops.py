"""A tiny engine, and a loop on a clock that the test turns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planning import CEM, Agent, GoalDistance, RateLimit
from planning.control import Fallback, LiveEngine, Loop, Planning, RealtimeController

from ..toys import PERIOD, box, point_mass

GOAL = [0.3, 0.1]


def make_engine(words=None, **options):
    planner = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
    model = point_mass(action_block=2, eye=True)
    return LiveEngine(Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, box(), **options), **(words or {}))


def constrained_engine(limit):
    return make_engine(constraints={"rate": RateLimit(limit)})


def with_mass(engine, mass):
    agent = engine.agent
    return LiveEngine(replace(agent, model=replace(agent.model, params={"mass": mass})))


class Rig:
    """A controller, a point mass, and a clock."""

    def __init__(self, engine, loop=None, planning=None, fallback=None, delay=0, **options):
        self.now = 0.0
        loop = loop or Loop()
        self.control = RealtimeController(
            engine, loop, planning, fallback or Fallback(), worker="inline", clock=lambda: self.now, **options
        )
        self.control.start()
        self.control.reset(goal=GOAL)
        self.position, self.velocity = np.zeros(2), np.zeros(2)
        self.under_way = [np.zeros(2)] * delay

    def step(self, observation=..., stamp=None, advance=PERIOD):
        """One period: observe, act, move."""
        self.now += advance
        if observation is not None:
            observation = self.position.copy() if observation is ... else observation
            self.control.notify_observation(observation, stamp)
        action = self.control.get_action()
        self.under_way.append(action)
        self.velocity = self.velocity + PERIOD * self.under_way.pop(0)
        self.position = self.position + PERIOD * self.velocity
        return self.control.command


__all__ = ["GOAL", "PERIOD", "Planning", "Rig", "constrained_engine", "make_engine", "with_mass"]
