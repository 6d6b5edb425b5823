"""A point in a plane with a wall, as a world model: what planners with sub-goals are tested in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from planning import ActionSpec, Agent, GoalDistance, Heads, LatentObjective, Prediction
from planning.observation import vector

STEP, LEAP, STEPS = 0.1, 0.5, 5  # metres a step and a leap, steps of a leap
WALL = 1.0  # height of the wall at x = 0
SPEC = ActionSpec.of([-1.0, -1.0], [1.0, 1.0], 0.1)


@dataclass(frozen=True)
class Leaps:
    size: int = 2
    steps: int = STEPS
    far: float = 1.0

    def __call__(self, params, latent, choice):
        return moved(latent, self.far * LEAP * choice / 2.0)


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["leaps", "distance", "landmarks"])
@dataclass(frozen=True)
class Walled:
    """A point in the plane that a wall stops: the way over it leads past (0, WALL)."""

    params: object
    leaps: Leaps | None = Leaps()
    distance: Callable[..., Any] | None = None  # the critic; `world` takes `steps_between`
    landmarks: Callable[..., Any] | None = None

    observation = vector(2)
    history = action_block = ensemble = 1
    embedding_size = action_size = latent_size = 2

    @property
    def heads(self):
        return Heads(distance=self.distance, leap=self.leaps, landmarks=self.landmarks)

    def embed(self, params, observation):
        return observation["state"]

    def encode(self, params, moments):
        return moments[..., -1, :]

    def predict(self, params, latent, block):
        return Prediction(moved(latent, STEP * block[..., 0, :]))


def moved(latent, by):
    after = latent + by
    stopped = (latent[..., :1] * after[..., :1] <= 0) & (jnp.minimum(latent, after)[..., 1:] < WALL)
    return jnp.where(stopped, latent, after)


def steps_between(params, latent, goal):
    """Shortest path in steps."""
    corner = jnp.asarray([0.0, WALL + 0.05], latent.dtype)
    straight = length(goal - latent)
    around = length(corner - latent) + length(goal - corner)
    return jnp.where(latent[..., 0] * goal[..., 0] < 0, around, straight) / STEP


def length(vector):
    return jnp.sqrt(jnp.sum(vector**2, axis=-1) + 1e-9)


def straight(params, latent, goal):
    """Steps of a critic that knows of no wall."""
    return length(goal - latent) / STEP


def world(**options):
    return Walled({"nothing": jnp.zeros(())}, **{"distance": steps_between, **options})


def objective(model, root, goal):
    return LatentObjective(model, {"goal": GoalDistance()}, {"goal": 1.0}, jnp.asarray(root), jnp.asarray(goal), SPEC)


def aimed(planner, model, root, goal, steps=0):
    """State of the search after one plan, `steps` environment steps later."""
    state = planner.init(SPEC, jax.random.key(0))
    _, state = planner.plan(objective(model, root, goal), state, SPEC)
    return planner.warm_start(state, SPEC, steps)


def arrival(planner, model, steps=60):
    """Steps until the goal behind the wall is reached by an agent, or None."""
    agent = Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, SPEC)
    act = jax.jit(agent.step)
    goal, place = jnp.asarray([0.4, 0.2]), jnp.asarray([-0.4, 0.2])
    state = agent.reset(agent.init(jax.random.key(0)), goal, jax.random.key(1), 0)
    for step in range(steps):
        action, _, state = act(state, place)
        place = moved(place, STEP * action)
        if float(length(place - goal)) < 0.1:
            return step
    return None
