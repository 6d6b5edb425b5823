"""Predictions next to the true outcome: with the true actions, with others, and with no change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy import ndarray

from ..data.windows import WindowSampler
from ..losses.prediction import rollout
from ..models.freeze import FrozenModel


@dataclass(frozen=True, eq=False)
class Foresight:
    """Mean squared errors in the representation after each of H model steps, and their inputs."""

    model: Float[ndarray, "H"]  # of the prediction; of an ensemble, of its members' mean
    unchanged: Float[ndarray, "H"]  # of predicting no change
    shuffled: Float[ndarray, "H"]  # of the prediction with the actions of another window
    error: Float[ndarray, "B"]  # of each window's last prediction
    disagreement: Float[ndarray, "B"] | None  # variance across an ensemble of that prediction; None for a single model
    imagined: Float[ndarray, "B H+1 Q"] | None  # decoded by the probe, the present first; None without a probe
    executed: Float[ndarray, "B H+1 R"] | None  # the probe targets of the same moments; None where the data have none


def foresight(model: FrozenModel, sampler: WindowSampler, key: PRNGKeyArray, windows: int = 512) -> Foresight:
    """Measure `model` over the `sampler.blocks` model steps of random windows.

    Args:
      model: the model.
      sampler: of the data; its blocks are the steps predicted.
      key: consumed.
      windows: number of windows.
    """
    values = jax.device_get(_measure(model, windows, sampler, key))
    arrays: dict[str, Any] = {name: None if value is None else np.asarray(value) for name, value in values.items()}
    return Foresight(**arrays)


def foresee(model: FrozenModel, root: Float[Array, "B D"], blocks: Float[Array, "B H K A"]) -> Float[Array, "E B H D"]:
    """Latents after each block, predicted by each member; a single model counts as an ensemble of one."""
    start = jnp.broadcast_to(root[None], (model.ensemble, *root.shape))
    return rollout(partial(model.predict, model.params), start, blocks)


@partial(jax.jit, static_argnums=1)
def _measure(model: FrozenModel, count: int, sampler: WindowSampler, key: PRNGKeyArray) -> dict[str, Array | None]:
    start_key, shuffle_key = jax.random.split(key)
    begin = sampler.starts[jax.random.randint(start_key, (count,), 0, len(sampler.starts))]
    rows = begin[:, None] + (jnp.arange(sampler.blocks + 1, dtype=begin.dtype) * sampler.action_block)[None]
    steps = begin[:, None] + jnp.arange(sampler.blocks * sampler.action_block, dtype=begin.dtype)[None]
    actions = sampler.actions[steps].reshape(count, sampler.blocks, sampler.action_block, -1)
    latents = model.encode(model.params, model.embed(model.params, sampler.stack(rows)))
    root, true = latents[:, 0], latents[:, 1:]

    members = foresee(model, root, actions)
    predicted = jnp.mean(members, axis=0)
    others = jnp.mean(foresee(model, root, jax.random.permutation(shuffle_key, actions)), axis=0)
    disagreement = None if len(members) == 1 else jnp.mean(jnp.var(members[:, :, -1], axis=0), axis=-1)
    seen = jnp.concatenate([root[:, None], predicted], axis=1)
    return {
        "model": _by_step(predicted, true),
        "unchanged": _by_step(jnp.broadcast_to(root[:, None], true.shape), true),
        "shuffled": _by_step(others, true),
        "error": jnp.mean(jnp.square(predicted[:, -1] - true[:, -1]), axis=-1),
        "disagreement": disagreement,
        "imagined": None if model.heads.probe is None else model.heads.probe(model.params, seen),
        "executed": None if sampler.probe_targets is None else sampler.probe_targets[rows],
    }


def _by_step(predicted: Float[Array, "B H D"], true: Float[Array, "B H D"]) -> Float[Array, "H"]:
    return jnp.mean(jnp.square(predicted - true), axis=(0, 2))
