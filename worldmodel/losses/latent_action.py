"""Prediction where only some actions were recorded: latent actions of the other steps, and what ties both together.

A recorded block of actions enters the predictor as `u = m(z, a)`, and every other one as `u = g(z, z')`, inferred from
what happened (Nikulin et al., "LAOM", arXiv 2502.00379). Noise on the inferred ones and a penalty on their norm keep
them from carrying the next latent itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..models.goal_model import WorldModel
from ..nets.predictors import EnsemblePredictor
from ..types import LatentWindows, Prediction
from .prediction import rollout


class Controls(NamedTuple):
    """What leads from one latent of a window to the next."""

    blocks: Array  # [B, H, K, A] actions, of which only the recorded ones count
    inferred: Array  # [B, H, U] latent actions
    labelled: Array  # [B, H] bool: whether a block was recorded


@dataclass(frozen=True)
class Controlled:
    """The members of a predictor, driven by `Controls` in place of actions."""

    predictor: EnsemblePredictor

    @property
    def members(self) -> Any:
        """The members, in order."""
        return self.predictor.members

    def by(self, member: int, latent: Float[Array, "B D"], controls: Controls) -> Float[Array, "B D"]:
        """Return the next latent, predicted by one member."""
        known = self.predictor.code(latent, controls.blocks)
        code = jnp.where(controls.labelled[..., None], known, controls.inferred)
        return self.predictor.ahead(member, latent, code)

    def rollout(self, root: Float[Array, "B D"], controls: Controls) -> Float[Array, "B H D"]:
        """Return the latents after each block, predicted by the first member."""
        return rollout(lambda latent, each: Prediction(self.by(0, latent, each)), root, controls)


def inferred_codes(model: WorldModel, latents: Float[Array, "B S D"]) -> Float[Array, "B S-1 U"]:
    """Latent actions between the latents of windows."""
    assert model.latent_actions is not None
    return model.latent_actions(latents[:, :-1], latents[:, 1:])


def foreseen(model: WorldModel, windows: LatentWindows) -> Float[Array, "B H D"]:
    """Return the latents predicted from the first one of each window, by the actions that were recorded, or inferred.

    Inferred ones are constant: what learns from these predictions does not change them.
    """
    root = windows.latents[:, 0]
    if windows.labelled is None:
        return rollout(model.predict, root, windows.actions)
    codes = jax.lax.stop_gradient(inferred_codes(model, windows.latents))
    return Controlled(model.predictor).rollout(root, Controls(windows.actions, codes, windows.labelled))


def alignment_loss(
    model: WorldModel, latents: Float[Array, "B S D"], controls: Controls, codes: Float[Array, "B S-1 U"]
) -> Float[Array, ""]:
    """Mean squared error between latent actions of recorded blocks: mapped from the actions, and inferred without them.

    The gradient flows into both: the map learns what was inferred, and what is inferred becomes what actions do.

    Args:
      model: with the map and the inverse model.
      latents: of windows.
      controls: of the same windows.
      codes: inferred, without noise.
    """
    mapped = model.predictor.code(latents[:, :-1], controls.blocks)
    return known_mean(jnp.mean(jnp.square(mapped - codes), axis=-1), controls.labelled)


def decoding_loss(
    model: WorldModel, latents: Float[Array, "B S D"], controls: Controls, codes: Float[Array, "B S-1 U"]
) -> Float[Array, ""]:
    """Mean squared error of the recorded actions, normalised, that are decoded from inferred latent actions.

    Args:
      model: with the decoder and the inverse model.
      latents: of windows.
      controls: of the same windows.
      codes: inferred.
    """
    assert model.latent_actions is not None
    decoded = model.latent_actions.actions(latents[:, :-1], codes)
    taken = model.predictor.normalizer(controls.blocks).reshape(decoded.shape)
    return known_mean(jnp.mean(jnp.square(decoded - taken), axis=-1), controls.labelled)


def known_mean(errors: Float[Array, "..."], known: Bool[Array, "..."]) -> Float[Array, ""]:
    """Mean of the errors that are known; 0 where none is."""
    return jnp.sum(jnp.where(known, errors, 0.0)) / jnp.sum(known.astype(errors.dtype)).clip(1.0)
