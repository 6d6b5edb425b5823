"""Losses of a belief: of what it foresees, with parts of the pictures hidden for a while, and of its doubt.

Hiding is what teaches permanence: a region of a picture is left out of what the belief sees for some moments, and what
was left out is still to be foreseen (masked prediction in representation space: Bardes et al., "V-JEPA",
arXiv 2404.08471).
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..models.goal_model import WorldModel
from ..nets.belief import inside, later
from ..observation import ObservationSpec
from ..types import Metrics, Sequences
from .collapse import PUBLISHED_BATCH, sigreg

REGULARISED = 512  # moments of a batch on which SIGReg is computed
LONGEST = 12  # moments for which a region is hidden at most
SHORTEST = 3
PRESENCE = 0.5  # weight of the error of what is believed to be there now


def belief_loss(
    model: WorldModel, sequences: Sequences, key: PRNGKeyArray, hidden: float, regularity: float, projections: int
) -> tuple[Float[Array, ""], Metrics]:
    """Error of what is foreseen, of what is believed to be there now though it is hidden, and SIGReg on the moments.

    Args:
      model: with a belief.
      sequences: of embeddings and actions.
      key: consumed.
      hidden: share of the sequences, the first ones, in which a region of each picture is hidden for some moments.
      regularity: weight of SIGReg.
      projections: of SIGReg.

    Returns:
      The loss and its parts.
    """
    belief = model.belief
    assert belief is not None
    hide_key, some_key, key = jax.random.split(key, 3)
    actions = model.predictor.normalizer(sequences.actions)
    moments = belief.moment(model.encoder.moment(sequences.embeddings))
    grids = model.encoder.patch_grids
    count = round(hidden * len(moments)) if grids else 0
    shown = moments
    if count:
        some = hidden_behind(sequences.embeddings[:count], model.encoder.spec, grids, hide_key)
        seen = belief.moment(model.encoder.moment(some))
        shown = jnp.concatenate([seen, moments[count:]])
    beliefs = belief.along(shown, actions)
    errors = jnp.mean(jnp.square(belief.expectation(belief.foreseen(beliefs, actions)) - later(moments)), axis=-1)
    counted = inside(moments.shape[1]).at[0].set(0.0)  # nothing is known of velocities at the first moment
    metrics = {"foresight": jnp.sum(errors * counted[None]) / (jnp.sum(counted) * len(errors))}
    flat = moments.reshape(-1, moments.shape[-1])
    some = flat[jax.random.permutation(some_key, len(flat))[:REGULARISED]]
    metrics["belief_sigreg"] = sigreg(some, key, projections) * (PUBLISHED_BATCH / len(some))
    loss = metrics["foresight"] + regularity * metrics["belief_sigreg"]
    if count:
        metrics["presence"] = jnp.mean(jnp.square(belief.expectation(beliefs[:count]) - moments[:count]))
        loss = loss + PRESENCE * metrics["presence"]
    return loss, {"loss": loss, **metrics}


def doubt_loss(model: WorldModel, sequences: Sequences) -> Float[Array, ""]:
    """Negative log-likelihood of the errors of a finished belief, up to a constant.

    Args:
      model: with a belief; its `doubt` learns.
      sequences: of embeddings and actions.
    """
    error, log_variance = model.foresee(sequences.embeddings, sequences.actions)
    error = jax.lax.stop_gradient(error)
    counted = inside(error.shape[1]).at[0].set(0.0)[None, :, :, None]
    value = 0.5 * (jnp.square(error) * jnp.exp(-log_variance) + log_variance)
    return jnp.sum(value * counted) / (jnp.sum(counted) * len(error) * error.shape[-1])


def hidden_behind(
    embeddings: Float[Array, "B T E"], spec: ObservationSpec, grids: Mapping[str, tuple[int, int]], key: PRNGKeyArray
) -> Float[Array, "B T E"]:
    """Hide a rectangle of patches of each picture for some moments.

    What hides it is a plain surface: all its patches look like one patch that is somewhere in the batch. In every other
    sequence it looks like the mean picture instead.

    Args:
      embeddings: of sequences.
      spec: the sensors.
      grids: rows and columns of the patches of each picture whose embedding is that of its patches.
      key: consumed.
    """
    batch, moments = embeddings.shape[:2]
    for number, (name, (rows, columns)) in enumerate(grids.items()):
        keys = jax.random.split(jax.random.fold_in(key, number), 4)
        when = _stretch(keys[0], batch, moments, SHORTEST, min(LONGEST, moments))
        across = _stretch(keys[1], batch, columns, 2, max(2, columns - 2))
        down = _stretch(keys[2], batch, rows, max(2, rows // 2), rows)
        hidden = (when[:, :, None, None] & down[:, None, :, None] & across[:, None, None, :])[..., None]
        pictures = embeddings[:, :, spec.slices[name]].reshape(batch, moments, rows, columns, -1)
        every = pictures.reshape(batch * moments * rows * columns, -1)
        surface = every[jax.random.randint(keys[3], (batch,), 0, len(every))]
        surface = surface * (jnp.arange(batch, dtype=jnp.int32) % 2).astype(surface.dtype)[:, None]
        covered = jnp.where(hidden, surface[:, None, None, None], pictures)
        embeddings = embeddings.at[:, :, spec.slices[name]].set(covered.reshape(batch, moments, -1))
    return embeddings


def _stretch(key: PRNGKeyArray, batch: int, places: int, shortest: int, longest: int) -> Bool[Array, "B N"]:
    """Consecutive places, in each row others; they may reach beyond either end."""
    length_key, middle_key = jax.random.split(key)
    length = jax.random.randint(length_key, (batch, 1), shortest, longest + 1)
    first = jax.random.randint(middle_key, (batch, 1), 0, places) - length // 2
    numbers = jnp.arange(places, dtype=first.dtype)[None]
    return (numbers >= first) & (numbers < first + length)
