"""Goals with only some sensors specified, learned from complete goals with sensors left out at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..models.goal_model import WorldModel

SURPRISE = 0.1  # weight of the surprise at which solution is the best one, beside its error


class PartialGoals(NamedTuple):
    """Goals about some sensors."""

    solutions: Array  # [B, M, D]
    scores: Array  # [B, M] logits of how often each is the best one


def partial_goals(
    model: WorldModel,
    embeddings: Float[Array, "B E"],
    key: PRNGKeyArray,
    asked: Sequence[Sequence[bool]] = (),
    asked_share: float = 0.0,
) -> PartialGoals:
    """Return solutions of goals with some of their numbers left out: few or many, a random share each.

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
    return PartialGoals(*model.goal_head(features, encoder.feature_mask(known).astype(features.dtype)))


def fitting(partial: PartialGoals, goals: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Return the solution nearest to each complete goal: the one that reaching the goal has reached."""
    best = _best(partial, goals)
    return jnp.take_along_axis(partial.solutions, best[:, None, None], axis=1)[:, 0]


def goal_loss(partial: PartialGoals, goals: Float[Array, "B D"]) -> Float[Array, ""]:
    """Mean squared error of the best solution to the complete goals, which are constant, and its surprise.

    With one solution, the minimum is the mean of consistent goals; with several, each is the mean of those to which it
    is the nearest one.
    """
    error = jnp.mean(jnp.square(fitting(partial, goals) - jax.lax.stop_gradient(goals)))
    if partial.scores.shape[1] == 1:
        return error
    shares = jax.nn.log_softmax(partial.scores)
    surprise = -jnp.take_along_axis(shares, _best(partial, goals)[:, None], axis=1)
    return error + SURPRISE * jnp.mean(surprise)


def goal_probe_loss(model: WorldModel, partial: Float[Array, "B D"], goals: Float[Array, "B D"]) -> Float[Array, ""]:
    """Mean squared error between the probe's outputs for partial goals and for complete ones.

    A probe is not linear: its value at a mean of representations is not the mean of its values. Only the partial goals
    learn from this loss; the model needs a probe.

    Args:
      model: with the probe.
      partial: the fitting solution of each goal.
      goals: complete.
    """
    assert model.probe_head is not None
    definition, state = nnx.split(model.probe_head)
    probe = nnx.merge(definition, jax.lax.stop_gradient(state))
    return jnp.mean(jnp.square(probe.mlp(partial) - jax.lax.stop_gradient(probe.mlp(goals))))


def _best(partial: PartialGoals, goals: Float[Array, "B D"]) -> Int[Array, "B"]:
    return jnp.argmin(jnp.sum(jnp.square(partial.solutions - goals[:, None]), axis=-1), axis=1)
