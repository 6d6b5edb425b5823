"""Goals with only some sensors specified, learned from complete goals with sensors left out at random."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ..models.goal_model import WorldModel


def partial_goals(
    model: WorldModel,
    embeddings: Float[Array, "B E"],
    key: PRNGKeyArray,
    asked: Sequence[Sequence[bool]] = (),
    asked_share: float = 0.0,
) -> Float[Array, "B D"]:
    """Return representations of goals with some of their numbers left out: few or many, a random share each.

    A picture is included as a whole or not at all. An optional sensor's flag is included together with its readings,
    and a goal includes no reading that is missing.

    Args:
      model: with the encoder and the head of such goals.
      embeddings: of complete goals.
      key: consumed.
      asked: entries that goals of a task specify, one of them after the other; empty: unknown.
      asked_share: share of the goals that specify exactly those.
    """
    encoder = model.encoder
    share_key, known_key = jax.random.split(key)
    share = jax.random.uniform(share_key, (len(embeddings), 1))
    known = jax.random.uniform(known_key, embeddings.shape) < share
    if asked:
        rows = jnp.arange(len(embeddings), dtype=jnp.int32)[:, None]
        # Spread over the batch, since only its first goals may be used.
        always = (rows * round(1000 * asked_share)) % 1000 < round(1000 * asked_share)
        turn = jnp.cumsum(always.astype(jnp.int32), axis=0) % len(asked)
        known = jnp.where(always, jnp.asarray(asked)[turn[:, 0]], known)
    for sensor in encoder.spec.pictures:
        place = encoder.spec.slices[sensor.name]
        known = known.at[:, place].set(known[:, place.start : place.start + 1])
    for name, flag in encoder.spec.flags.items():
        place, read = encoder.spec.slices[name], embeddings[:, flag : flag + 1] > 0
        known = known.at[:, place].set(known[:, place] & read)
        known = known.at[:, flag].set(jnp.any(known[:, place], axis=-1))
    given = jnp.where(known, embeddings, 0.0) if encoder.spec.flags else embeddings
    features = jax.lax.stop_gradient(encoder.features(given))
    return model.goal_head(features, encoder.feature_mask(known).astype(features.dtype))


def goal_loss(partial: Float[Array, "B D"], goals: Float[Array, "B D"]) -> Float[Array, ""]:
    """Mean squared error to the complete goals, which are constant: its minimum is the mean of consistent goals."""
    return jnp.mean(jnp.square(partial - jax.lax.stop_gradient(goals)))


def goal_probe_loss(model: WorldModel, partial: Float[Array, "B D"], goals: Float[Array, "B D"]) -> Float[Array, ""]:
    """Mean squared error between the probe's outputs for partial goals and for complete ones.

    A probe is not linear: its value at a mean of representations is not the mean of its values. Only the partial goals
    learn from this loss; the model needs a probe.
    """
    assert model.probe_head is not None
    definition, state = nnx.split(model.probe_head)
    probe = nnx.merge(definition, jax.lax.stop_gradient(state))
    return jnp.mean(jnp.square(probe.mlp(partial) - jax.lax.stop_gradient(probe.mlp(goals))))
