"""Is this representation healthy? A few numbers that together tell what no loss tells alone.

A collapsed model has the lowest prediction loss of all; what gives it away is the scale and rank of its features, and
that its predictions are no better than "nothing changes" or do not care which action was taken.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from .losses.collapse import GAUSSIAN_VALUE, sigreg
from .losses.prediction import rollout
from .model import WorldModel
from .windows import WindowSampler

_EPSILON = 1e-8


def diagnose(model: WorldModel, sampler: WindowSampler, key: PRNGKeyArray, windows: int = 1024) -> dict[str, float]:
    """Measure `model` on windows of data; the key is consumed.

    Returns:
      `horizon_ratio`: error of the last predicted latent over that of predicting no change.
      `action_sensitivity`: error with shuffled actions over error with the true ones.
      `feature_std`: the smallest and mean standard deviation of a feature are `feature_std_min` and `feature_std`.
      `rank`: effective number of dimensions, RankMe (Garrido et al., arXiv 2210.02885, eq. 1).
      `cosine`: mean cosine between uncentred latents of different moments: 1 when all point one way.
      `normality`: the SIGReg statistic over its value for a standard normal.
      `critic_order`: share of pairs of successive moments in a window whose later one the critic calls nearer to the
        window's end.
    """
    graphdef, state = nnx.split(model)
    values = _measure(graphdef, windows, state, sampler, key)
    return {name: float(value) for name, value in jax.device_get(values).items()}


@partial(jax.jit, static_argnums=(0, 1))
def _measure(
    graphdef: nnx.GraphDef[WorldModel], count: int, state: nnx.State, sampler: WindowSampler, key: PRNGKeyArray
) -> dict[str, Array]:
    model = nnx.merge(graphdef, state)
    sample_key, shuffle_key, direction_key = jax.random.split(key, 3)
    windows = sampler.sample(sample_key, count)
    latents = model.encode(windows.observations)
    first, last = latents[:, 0], latents[:, -1]
    error = _error(rollout(model.predict, first, windows.actions)[:, -1], last)
    shuffled = jax.random.permutation(shuffle_key, windows.actions)
    remaining = model.distance(latents, last[:, None])
    return {
        "horizon_ratio": error / _error(first, last),
        "action_sensitivity": _error(rollout(model.predict, first, shuffled)[:, -1], last) / error,
        "feature_std": jnp.mean(jnp.std(first, axis=0)),
        "feature_std_min": jnp.min(jnp.std(first, axis=0)),
        "rank": effective_rank(first),
        "cosine": _mean_cosine(first),
        "normality": sigreg(first, direction_key) / GAUSSIAN_VALUE,
        "critic_order": jnp.mean((remaining[:, :-1] > remaining[:, 1:]).astype(jnp.float32)),
    }


def effective_rank(latents: Float[Array, "B D"]) -> Float[Array, ""]:
    """Exponential of the entropy of the normalised singular values: between 1 and D."""
    values = jnp.linalg.svd(latents, compute_uv=False)
    share = values / jnp.sum(values) + _EPSILON
    return jnp.exp(-jnp.sum(share * jnp.log(share)))


def _error(predicted: Float[Array, "B D"], true: Float[Array, "B D"]) -> Float[Array, ""]:
    return jnp.mean(jnp.square(predicted - true))


def _mean_cosine(latents: Float[Array, "B D"]) -> Float[Array, ""]:
    unit = latents / (jnp.linalg.norm(latents, axis=-1, keepdims=True) + _EPSILON)
    return jnp.mean(jnp.sum(unit * jnp.roll(unit, 1, axis=0), axis=-1))
