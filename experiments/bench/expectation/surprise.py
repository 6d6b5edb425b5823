"""Surprise of a model at every picture of a clip: the whitened error of what it had predicted for it.

From each picture the model predicts the latents of the next blocks of actions, and each later picture is compared with
all predictions for it, whichever picture they started from. Errors are whitened by those of possible clips, so that
what cannot be foreseen anyway counts for little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from envs.physics.studio import Drawn

from ...build.embeddings import embedded

_TOGETHER = 16  # clips encoded at a time
_SHRINK = 0.1  # of the mean variance, added to each: directions without any error would count without limit


class Subject(Protocol):
    """Whatever can be surprised."""

    def surprise(self, clips: Drawn) -> Float[ndarray, "C T"]:
        """Surprise at every picture; 0 where nothing was predicted."""
        ...


@dataclass(frozen=True)
class ModelSurprise:
    """A frozen world model, with the errors that it makes on possible clips.

    Args:
      model: frozen.
      spans: the longest prediction, in blocks of actions.
      context: pictures before the first one that predictions start from: nothing is known of velocities earlier.
      mean: of the errors of each span.
      whiten: likewise.
      usual: mean square of the whitened errors of each span.
    """

    model: Any
    spans: int
    context: int
    mean: Float[ndarray, "J D"]
    whiten: Float[ndarray, "J D D"]
    usual: Float[ndarray, "J"]

    @classmethod
    def calibrated(cls, model: Any, spans: int, context: int, possible: Drawn) -> ModelSurprise:
        """Measure the usual errors on possible clips that the model has not learned from.

        Args:
          model: frozen.
          spans: the longest prediction, in blocks of actions.
          context: pictures before the first one that predictions start from.
          possible: the clips.
        """
        errors = errors_of(model, spans, possible)
        means, whitens, usual = [], [], []
        for span in range(spans):
            made = errors[:, context : _ends(errors.shape[1], model, span), span].reshape(-1, errors.shape[-1])
            values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(made.T.astype(np.float64))))
            whiten = vectors / np.sqrt(values + _SHRINK * values.mean() + 1e-12)
            means.append(made.mean(axis=0))
            whitens.append(whiten.astype(np.float32))
            usual.append(np.mean(((made - means[-1]) @ whitens[-1]) ** 2))
        return cls(model, spans, context, np.stack(means), np.stack(whitens), np.asarray(usual))

    def surprise(self, clips: Drawn) -> Float[ndarray, "C T"]:
        """Mean over the spans of the mean square of the whitened errors, 1 as usual; 0 where nothing was predicted."""
        by_span = self.by_span(clips)
        known = ~np.isnan(by_span)
        return np.where(known, by_span, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)

    def by_span(self, clips: Drawn) -> Float[ndarray, "C T J"]:
        """Surprise at every picture for each span; NaN where nothing was predicted."""
        errors = errors_of(self.model, self.spans, clips)
        found = np.full((*errors.shape[:2], self.spans), np.nan)
        for span in range(self.spans):
            end, later = _ends(errors.shape[1], self.model, span), (span + 1) * self.model.action_block
            whitened = (errors[:, self.context : end, span] - self.mean[span]) @ self.whiten[span]
            found[:, self.context + later :, span] = np.mean(np.square(whitened), axis=-1) / self.usual[span]
        return found


@dataclass(frozen=True)
class BeliefSurprise:
    """A frozen world model with a belief, whose errors count by how large they usually are in their situation.

    Args:
      model: frozen.
      context: pictures before the first one that predictions start from: nothing is known of velocities earlier.
    """

    model: Any
    context: int

    def surprise(self, clips: Drawn) -> Float[ndarray, "C T"]:
        """Mean square error over what was expected of it, 1 as usual; 0 where nothing was predicted.

        Each picture is compared with all that was foreseen for it, whichever picture that started from.
        """
        rows, found = _rows(self.model, clips), list[ndarray]()
        for at in range(0, len(rows), _TOGETHER):
            ratio = _ratios(self.model, *_padded(rows[at : at + _TOGETHER], clips.actions[at : at + _TOGETHER]))
            found.append(np.asarray(ratio)[: len(rows) - at])
        ratios = np.concatenate(found)
        count, moments, spans = ratios.shape
        total, known = np.zeros((count, moments)), np.zeros(moments)
        for span in range(1, spans + 1):
            total[:, self.context + span :] += ratios[:, self.context : moments - span, span - 1]
            known[self.context + span :] += 1
        return total / np.maximum(known, 1)


@jax.jit
def _ratios(model: Any, rows: Float[Array, "C T E"], actions: Float[Array, "C U A"]) -> Float[Array, "C T J"]:
    error, log_variance = model.module().foresee(rows, actions)
    return jnp.mean(jnp.square(error) * jnp.exp(-log_variance), axis=-1)


def _rows(model: Any, clips: Drawn) -> Float[ndarray, "C T E"]:
    """Embeddings of all pictures."""
    count, moments = clips.pictures.shape[:2]
    flat = embedded(model, {"pixels": clips.pictures.reshape((-1, *clips.pictures.shape[2:]))})
    return np.asarray(flat).reshape((count, moments, -1))


def _padded(rows: ndarray, actions: ndarray) -> tuple[Array, Array]:
    """At most `_TOGETHER` clips, padded to as many: one shape, one program."""
    missing = ((0, _TOGETHER - len(rows)), (0, 0), (0, 0))
    return jnp.asarray(np.pad(rows, missing)), jnp.asarray(np.pad(actions, missing), jnp.float32)


def errors_of(model: Any, spans: int, clips: Drawn) -> Float[ndarray, "C T J D"]:
    """Encoded less predicted latents, by the picture that the prediction starts from; 0 beyond the end.

    Args:
      model: frozen.
      spans: the longest prediction, in blocks of actions.
      clips: C of T pictures.
    """
    rows, found = _rows(model, clips), []
    for at in range(0, len(rows), _TOGETHER):
        errors = _errors(model, spans, *_padded(rows[at : at + _TOGETHER], clips.actions[at : at + _TOGETHER]))
        found.append(np.asarray(errors)[: len(rows) - at])
    return np.concatenate(found)


@jax.jit(static_argnums=1)
def _errors(
    model: Any,
    spans: int,
    rows: Float[Array, "C T E"],
    actions: Float[Array, "C U A"],
) -> Float[Array, "C T J D"]:
    moments, block = rows.shape[1], model.action_block
    past = np.maximum(np.arange(moments)[:, None] - np.arange(model.history - 1, -1, -1), 0)
    latents = model.encode(model.params, rows[:, past])  # [C, T, D]
    padded = jnp.pad(actions, ((0, 0), (0, spans * block + 1), (0, 0)))
    later = jnp.pad(latents, ((0, 0), (0, spans * block), (0, 0)))
    predicted, found = latents, []
    for span in range(spans):
        steps = np.arange(moments)[:, None] + span * block + np.arange(block)
        predicted = model.predict(model.params, predicted, padded[:, steps]).latent
        end = (span + 1) * block
        seen = later[:, end : end + moments]
        inside = (np.arange(moments) + end < moments)[None, :, None]
        found.append(jnp.where(inside, seen - predicted, 0.0))
    return jnp.stack(found, axis=2)


def _ends(moments: int, model: Any, span: int) -> int:
    """First picture from which a span ends beyond the clip."""
    return moments - (span + 1) * int(model.action_block)
