"""Recorded actions against what their episode shows: labels that contradict their video."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from ..data.windows import WindowSampler
from ..models.goal_model import WorldModel

_LEAST = 20  # blocks of an episode that say anything about its labels
_ROWS = 8_192  # moments at a time


@dataclass(frozen=True, eq=False)
class LabelAgreement:
    """Share of the recorded actions, by episode, that the inverse model decodes from what happened.

    1: all of it; 0: no more than the mean action; negative: other actions than the recorded ones.
    """

    episodes: Int[ndarray, "N"]  # numbers of the episodes with enough recorded actions
    explained: Float[ndarray, "N"]  # R² of each

    @property
    def median(self) -> float:
        """R² of the episode in the middle; NaN where there is none."""
        return float(np.median(self.explained)) if len(self.explained) else float("nan")

    @property
    def doubtful(self) -> list[int]:
        """Episodes that show other actions than the recorded ones, by a model that decodes most of the others'.

        Less than a quarter of what is usual is explained, and less than nothing is a contradiction in any case.
        """
        if not self.median > 0.3:
            return []
        return self.episodes[self.explained < 0.25 * self.median].tolist()


def label_agreement(model: WorldModel, windows: WindowSampler, latents: Float[Array, "M D"]) -> LabelAgreement:
    """Compare the recorded actions of every block with those decoded from the latents at its ends.

    Args:
      model: with latent actions.
      windows: the data.
      latents: of all their moments.
    """
    block = windows.action_block
    first, last = np.asarray(windows.first), np.asarray(windows.last)
    known = np.ones(len(first), bool) if windows.labelled is None else np.asarray(windows.labelled)
    rows = np.flatnonzero(np.arange(len(first)) + block <= last)
    rows = rows[known[rows[:, None] + np.arange(block)].all(axis=1)]
    if not len(rows):
        return LabelAgreement(np.zeros(0, np.int64), np.zeros(0))
    step = jax.jit(partial(_errors, model))
    found = []
    for begin in range(0, len(rows), _ROWS):
        some = rows[begin : begin + _ROWS]
        padded = jnp.asarray(np.resize(some, min(_ROWS, len(rows))), jnp.int32)  # one program
        found.append(np.asarray(step(windows.actions, latents, padded, jnp.arange(block)))[: len(some)])
    errors, squares = np.concatenate(found).T
    number = np.searchsorted(np.unique(first), first[rows])
    count = np.bincount(number)
    enough = np.flatnonzero(count >= _LEAST)
    error = np.bincount(number, errors) / np.maximum(count, 1)
    # By the spread of all recorded actions: one that hardly moved has none of its own.
    return LabelAgreement(enough, 1 - error[enough] / max(float(squares.mean()), 1e-12))


def _errors(model: WorldModel, actions: Array, latents: Array, rows: Array, steps: Array) -> Float[Array, "N 2"]:
    """Squared error of the decoded actions, and square of the recorded ones, both normalised."""
    assert model.latent_actions is not None
    begin, end = latents[rows], latents[rows + len(steps)]
    decoded = model.latent_actions.actions(begin, model.latent_actions(begin, end))
    taken = model.predictor.normalizer(actions[rows[:, None] + steps.astype(rows.dtype)[None]])
    taken = taken.reshape(decoded.shape)
    return jnp.stack([jnp.mean(jnp.square(decoded - taken), axis=-1), jnp.mean(jnp.square(taken), axis=-1)], axis=-1)
