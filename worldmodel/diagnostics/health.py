"""Health of a representation: a few numbers that together reveal what no loss shows alone.

A collapsed model has the lowest prediction loss of all; it shows in the scale and rank of its features, and in
predictions that are no better than "nothing changes" or that do not depend on the action.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..data.frame_windows import FrameWindows
from ..data.windows import WindowSampler
from ..losses.collapse import GAUSSIAN_VALUE, sigreg
from ..models.freeze import FrozenModel
from ..types import Windows
from .foresight import foresee

_EPSILON = 1e-8


def diagnose(
    model: FrozenModel, sampler: WindowSampler | FrameWindows, key: PRNGKeyArray, windows: int = 1024
) -> dict[str, float]:
    """Measure `model` on windows of data.

    Args:
      model: the model.
      sampler: of the data.
      key: consumed.
      windows: number of windows.

    Returns:
      `horizon_ratio`: error of the last predicted latent over that of predicting no change.
      `action_sensitivity`: error with shuffled actions over error with the true ones.
      `feature_std`, `feature_std_min`, `rank`, `normality`: see `spread`.
      `cosine`: mean cosine between uncentred latents of different moments: 1 when all point in one direction.
      `straightness`: mean cosine between a latent's change over one block and over the next.
      `critic_order`: share of pairs of successive moments in a window whose later one the critic rates nearer to the
        window's end; absent where the model has no critic.
    """
    sample_key, *keys = jax.random.split(key, 3)
    return _on_host(_measure(model, sampler.sample(sample_key, windows), *keys))


def spread(
    model: FrozenModel, sampler: WindowSampler | FrameWindows, key: PRNGKeyArray, moments: int = 512
) -> dict[str, float]:
    """Measure the part of `diagnose` that shows collapse, cheaply: moments are encoded, and nothing is predicted.

    Args:
      model: the model.
      sampler: of the data.
      key: consumed.
      moments: number of moments.

    Returns:
      `feature_std`: the smallest and mean standard deviation of a feature are `feature_std_min` and `feature_std`.
      `rank`: effective number of dimensions, RankMe (Garrido et al., arXiv 2210.02885, eq. 1).
      `normality`: the SIGReg statistic over its value for a standard normal.
    """
    row_key, direction_key = jax.random.split(key)
    rows = sampler.starts[jax.random.randint(row_key, (moments,), 0, len(sampler.starts))]
    return _on_host(_encode_and_spread(model, sampler.stack(rows), direction_key))


@jax.jit
def _measure(
    model: FrozenModel, windows: Windows, shuffle_key: PRNGKeyArray, direction_key: PRNGKeyArray
) -> dict[str, Array]:
    latents = model.encode(model.params, model.embed(model.params, windows.observations))
    shuffled = jax.random.permutation(shuffle_key, windows.actions)
    first, last = latents[:, 0], latents[:, -1]
    error = _error(jnp.mean(foresee(model, first, windows.actions), axis=0)[:, -1], last)
    values = {
        "horizon_ratio": error / _error(first, last),
        "action_sensitivity": _error(jnp.mean(foresee(model, first, shuffled), axis=0)[:, -1], last) / error,
        **_spread(first, direction_key),
        "cosine": _mean_cosine(first, jnp.roll(first, 1, axis=0)),
        "straightness": _straightness(latents),
    }
    if model.heads.distance is not None:
        remaining = model.heads.distance(model.params, latents, last[:, None])
        values["critic_order"] = jnp.mean((remaining[:, :-1] > remaining[:, 1:]).astype(jnp.float32))
    return values


@jax.jit
def _encode_and_spread(model: FrozenModel, stacks: dict[str, Array], key: PRNGKeyArray) -> dict[str, Array]:
    return _spread(model.encode(model.params, model.embed(model.params, stacks)), key)


def _spread(latents: Float[Array, "B D"], key: PRNGKeyArray) -> dict[str, Array]:
    std = jnp.std(latents, axis=0)
    return {
        "feature_std": jnp.mean(std),
        "feature_std_min": jnp.min(std),
        "rank": effective_rank(latents),
        "normality": sigreg(latents, key) / GAUSSIAN_VALUE,
    }


def effective_rank(latents: Float[Array, "B D"]) -> Float[Array, ""]:
    """Exponential of the entropy of the normalised singular values: between 1 and D."""
    values = jnp.linalg.svd(latents, compute_uv=False)
    share = values / jnp.sum(values) + _EPSILON
    return jnp.exp(-jnp.sum(share * jnp.log(share)))


def _error(predicted: Float[Array, "B D"], true: Float[Array, "B D"]) -> Float[Array, ""]:
    return jnp.mean(jnp.square(predicted - true))


def _mean_cosine(one: Float[Array, "... D"], other: Float[Array, "... D"]) -> Float[Array, ""]:
    lengths = jnp.linalg.norm(one, axis=-1) * jnp.linalg.norm(other, axis=-1)
    return jnp.mean(jnp.sum(one * other, axis=-1) / jnp.where(lengths > 0, lengths, 1.0))  # at any scale


def _straightness(latents: Float[Array, "B S D"]) -> Float[Array, ""]:
    """Mean cosine of latent velocities, as in LeWorldModel (arXiv 2603.19312); pairs without motion count 0."""
    velocity = jnp.diff(latents, axis=1)
    return _mean_cosine(velocity[:, :-1], velocity[:, 1:])


def _on_host(values: dict[str, Array]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(values).items()}
