"""Prediction loss in representation space, over the planner's horizon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..types import Prediction

Predict = Callable[[Array, Any], Prediction]
UNROLL = 16  # steps of a rollout in one piece: a loop stores and copies what each step's gradient needs


@runtime_checkable
class Ensemble(Protocol):
    """Predictor of several members, such as `nets.predictors.EnsemblePredictor`."""

    @property
    def members(self) -> Any:
        """The members, in order."""
        ...

    def by(self, member: int, latent: Array, block: Any) -> Array:
        """Return the next latent, predicted by one member."""
        ...


def rollout(predict: Predict, root: Float[Array, "*E B D"], blocks: Any) -> Float[Array, "*E B H D"]:
    """Return the latents after each action block, each predicted from the previous one without any observation.

    For an ensemble, latents have a leading axis of members, and each member continues from its own. `blocks` are
    `[B, H, K, A]`, or a pytree of arrays `[B, H, ...]` that `predict` takes a step of.
    """

    def step(latent: Array, block: Any) -> tuple[Array, Array]:
        later = predict(latent, block).latent
        return later, later

    _, latents = jax.lax.scan(step, root, jax.tree.map(lambda each: jnp.swapaxes(each, 0, 1), blocks), unroll=UNROLL)
    return jnp.moveaxis(latents, 0, -2)


def prediction_loss(
    predicted: Float[Array, "B H D"], encoded: Float[Array, "B H D"], weights: Float[Array, "B"]
) -> Float[Array, ""]:
    """Mean squared error over all axes; the gradient flows into both sides, as in LeWorldModel.

    `weights` select which windows count.
    """
    errors = jnp.mean(jnp.square(predicted - encoded), axis=(1, 2))
    return jnp.sum(weights * errors) / jnp.sum(weights).clip(1.0)


def further_members_in_turn(
    predictor: Ensemble, root: Float[Array, "B D"], blocks: Any
) -> tuple[Float[Array, "B H D"], Int[Array, "B"]]:
    """Return the latents after each action block, and the member that predicts each row.

    Every member but the first has an equal part of the batch, so that all together cost as much as one.
    """
    further = len(predictor.members) - 1
    ends = [len(root) * part // further for part in range(further + 1)]
    parts = {
        member: slice(begin, end) for member, begin, end in zip(range(1, further + 1), ends, ends[1:], strict=False)
    }
    predicted = [
        rollout(_predict(predictor, member), root[part], jax.tree.map(lambda each, part=part: each[part], blocks))
        for member, part in parts.items()
    ]
    members = np.repeat(np.arange(1, further + 1, dtype=np.int32), np.diff(ends))
    return jnp.concatenate(predicted), jnp.asarray(members)


def _predict(predictor: Ensemble, member: int) -> Predict:
    return lambda latent, block: Prediction(predictor.by(member, latent, block))


def bootstrap_weights(episodes: Int[Array, "B"], members: int, share: float) -> Float[Array, "{members} B"]:
    """Return 1 where a member learns from an episode: the first from all, each other one from its own `share`.

    A function of the episode, so that a member never sees the episodes outside its share.
    """

    def of_episode(episode: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(0), episode)
        return jax.random.bernoulli(key, share, (members,)).at[0].set(True)

    return jax.vmap(of_episode, out_axes=1)(episodes).astype(jnp.float32)
