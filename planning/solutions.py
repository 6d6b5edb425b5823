"""Solutions of a goal: any of several latents will do, and a plan goes to the nearest one.

A goal about some sensors has several where the rest may be one thing or another, as the tip of an arm is reached by
either elbow, and a symmetric object has one for each rotation that looks the same. Their mean is none of them. The
distance to a set is the least of the distances to its members; a plan is for the one that is nearest now, so that
every cost, planner and policy sees one goal, and no search lies between two.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .arrays import Array, Bool, Float
from .model import LatentModel

MOST_ROTATIONS = 64  # of all symmetric sensors together
SWITCH = 0.8  # share of the distance to the present solution, below which another one replaces it


def rotations(sensors: Any) -> Float[Array, "R E"]:
    """Return what to add to an embedding for each rotation that looks the same, the first one nothing.

    Args:
      sensors: in order, each with `period` and `symmetry`; those that are not rotate by nothing.

    Raises:
      ValueError: there are too many.
    """
    orders = [getattr(sensor, "symmetry", 1) for sensor in sensors]
    if math.prod(orders) > MOST_ROTATIONS:
        names = ", ".join(f"{each.name} {order}" for each, order in zip(sensors, orders, strict=True) if order > 1)
        raise ValueError(
            f"the symmetric sensors ({names}) have {math.prod(orders)} rotations together, and the most is "
            f"{MOST_ROTATIONS}: declare symmetry only where goals ask for it"
        )
    turns = [_turns(sensor, order) for sensor, order in zip(sensors, orders, strict=True)]
    return jnp.asarray(np.stack([np.concatenate(each) for each in product(*turns)]))


def _turns(sensor: Any, order: int) -> Float[np.ndarray, "S C"]:
    """Return what each rotation adds to the numbers of one sensor in an embedding, its flag included."""
    width = (sensor.features or math.prod(sensor.shape)) + sensor.optional
    found = np.zeros((order, width), np.float32)
    if order > 1:
        angle = int(np.flatnonzero(sensor.period)[0])
        found[:, angle] = sensor.period[angle] * np.arange(order) / order
    return found


def solutions(
    model: LatentModel, embedding: Float[Array, "E"], mask: Bool[Array, "E"] | None = None
) -> Float[Array, "G D"]:
    """Return the latents of a goal: one for each solution.

    Args:
      model: its head of goals gives one latent, or several.
      embedding: of the goal, at rest.
      mask: what is asked for, where the model has such goals; None: all of it.
    """
    head = model.heads.goal
    asked = jnp.ones(embedding.shape, bool) if mask is None else mask

    def latents(embedding: Float[Array, "E"]) -> Float[Array, "M D"]:
        if head is not None:
            found = head(model.params, embedding, asked)
        else:
            still = jnp.broadcast_to(embedding[None], (model.history, *embedding.shape))
            found = model.encode(model.params, still)
        return found.reshape(-1, found.shape[-1])

    turns = rotations(model.observation.sensors)
    if len(turns) == 1:
        return latents(embedding)
    found = jax.vmap(latents)(embedding[None] + turns)
    return found.reshape(-1, found.shape[-1])


def distances(model: LatentModel, latent: Float[Array, "... D"], goals: Float[Array, "G D"]) -> Float[Array, "... G"]:
    """Return how far each solution is: in environment steps, by the model's critic; without one, squared, in latents.

    Args:
      model: with the critic.
      latent: to start from.
      goals: the solutions.
    """
    start = jnp.broadcast_to(latent[..., None, :], (*latent.shape[:-1], *goals.shape))
    ends = jnp.broadcast_to(goals.reshape((1,) * (latent.ndim - 1) + goals.shape), start.shape)
    critic = model.heads.distance
    away = jnp.sum((start - ends) ** 2, axis=-1) if critic is None else critic(model.params, start, ends)
    return jnp.where(jnp.isfinite(away), away, jnp.inf)


def nearest(
    model: LatentModel,
    latent: Float[Array, "D"],
    goals: Float[Array, "G D"],
    present: Float[Array, "D"] | None = None,
) -> Float[Array, "D"]:
    """Return the solution that is nearest to a latent.

    Args:
      model: whose critic says so.
      latent: of the present moment.
      goals: the solutions.
      present: the solution that was taken before. It stays unless another one is clearly nearer: between two that are
        as near, noise decides nothing. None or NaN: there is none.
    """
    away = distances(model, latent, goals)
    if present is not None:
        same = jnp.all(goals == present[None], axis=-1)
        away = jnp.where(same, SWITCH * away, away)
    return goals[jnp.argmin(away)]
