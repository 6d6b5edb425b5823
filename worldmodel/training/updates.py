"""Shared parts of trainers: the stages of an objective, one gradient step, and many updates in one compiled call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, PRNGKeyArray

from ..types import Metrics, Params

State = TypeVar("State")


@dataclass(frozen=True)
class Stage:
    """One stage of an objective: some of the model's modules learn from one loss.

    `loss(model, target, batch, key) -> (loss, metrics)`, where `target` is the slowly following copy that the trainer
    keeps, and `batch` what its sampler draws.
    """

    name: str
    updates: int
    learns: tuple[str, ...]  # modules by name, as in "predictor.members.0"; those that the model lacks are left out
    loss: Callable[[Any, Any, Any, PRNGKeyArray], tuple[Array, Metrics]]
    learning_rate: float
    batch: int  # windows per update
    goals: int = 0  # of them that need their goals, where these are pictures; 0: all
    whole_pictures: bool = False  # whether its loss changes pictures, so that these cannot be projected before
    encoded: bool = False  # whether its batches are latents, encoded once by a finished encoder
    moments: int = 0  # of the sequences that its batches are, in place of windows; 0: windows
    imitates: bool = False  # whether half of each batch are demonstrations, where some of the episodes are such


class Step(NamedTuple):
    """Outcome of one gradient step."""

    params: Any
    optimizer: Any  # its state
    aux: Any  # the auxiliary output of the loss
    gradients: Any


def descend(
    loss: Callable[[Any], tuple[Array, Any]], params: Any, optimizer: optax.GradientTransformation, state: Any
) -> Step:
    """One step of `optimizer` on `params`, down the gradient of `loss(params) -> (loss, aux)`.

    Args:
      loss: of the parameters; its second value is returned as it is.
      params: a pytree.
      optimizer: of optax.
      state: the optimizer's.
    """
    (_, aux), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    with jax.numpy_dtype_promotion("standard"):  # optax counts in integers; our own code is strict
        changes, state = optimizer.update(gradients, state, params)
    return Step(optax.apply_updates(params, changes), state, aux, gradients)


def adamw(stage: Stage, weight_decay: float, clip_norm: float) -> optax.GradientTransformation:
    """Return the optimizer of a stage: its rate warms up over 5 % of the updates, then decays to 1 % along a cosine.

    Args:
      stage: with its number of updates and its rate.
      weight_decay: of AdamW.
      clip_norm: norm at which a gradient is clipped.
    """
    rate, warmup = stage.learning_rate, max(1, stage.updates // 20)
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, warmup, max(stage.updates, warmup + 1), 0.01 * rate)
    return optax.chain(optax.clip_by_global_norm(clip_norm), optax.adamw(schedule, weight_decay=weight_decay))


def repeat(update: Callable[[State], tuple[State, Metrics]], state: State, count: int) -> tuple[State, Metrics]:
    """Run `count` updates in one scan, and average their metrics."""

    def one(state: State, _: None) -> tuple[State, Metrics]:
        return update(state)

    state, metrics = jax.lax.scan(one, state, None, length=count)
    return state, jax.tree.map(jnp.mean, metrics)


def learned_by(params: Params, stage: Stage) -> Params:
    """Return the part of the parameters that learns in a stage."""
    parts = [tuple(name.split(".")) for name in stage.learns]
    return nnx.from_flat_state(
        (path, value)
        for path, value in nnx.to_flat_state(params)
        if any(tuple(map(str, path[: len(part)])) == part for part in parts)
    )
