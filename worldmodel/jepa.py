"""The reward-free objective: predict representations, keep them from collapsing, and learn how far things are.

`L = prediction + λ_s · SIGReg + λ_i · inverse dynamics + λ_d · temporal distance + probe`
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .heads import TemporalDistance
from .losses.collapse import GAUSSIAN_VALUE, PUBLISHED_BATCH, sigreg_loss
from .losses.distance import distance_loss
from .losses.inverse import inverse_loss
from .losses.prediction import prediction_loss, rollout
from .model import WorldModel
from .types import Metrics, Windows


@dataclass(frozen=True)
class JepaConfig:
    """Weights of the parts (0 leaves one out of the sum), and what the critic is trained with.

    Raises:
      ValueError: a weight below 0, an expectile or rate outside (0, 1), or no projection or foreign goal.
    """

    sigreg: float = 0.09
    inverse: float = 1.0
    distance: float = 1.0
    sigreg_projections: int = 64
    expectile: float = 0.3
    foreign_goals: int = 4  # goals of other windows that the critic learns from, for each of its own
    longest_distance: float = 500.0  # environment steps, above which the critic does not count
    target_rate: float = 0.02  # how fast the critic's target follows it, an update

    def __post_init__(self) -> None:
        for name in ("sigreg", "inverse", "distance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"objective.{name} must be at least 0; got {getattr(self, name)}")
        for name in ("expectile", "target_rate"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"objective.{name} must lie between 0 and 1; got {getattr(self, name)}")
        for name in ("sigreg_projections", "foreign_goals"):
            if getattr(self, name) < 1:
                raise ValueError(f"objective.{name} must be at least 1; got {getattr(self, name)}")


def jepa_loss(
    model: WorldModel, target: TemporalDistance, windows: Windows, key: PRNGKeyArray, config: JepaConfig
) -> tuple[Float[Array, ""], Metrics]:
    """The objective on one batch of windows, and its parts as metrics. The key is consumed.

    `horizon_ratio` is the error of the last predicted latent over that of predicting no change: below 1 the model knows
    something, and it is the number to watch, since a collapsed model has the lowest prediction loss of all.
    """
    latents = model.encode(windows.observations)  # [B, H+1, D]
    predicted = rollout(model.predict, latents[:, 0], windows.actions)  # [B, H, D]
    # SIGReg on the first and the last moment: those between are much the same, and would only cost their time.
    ends = jnp.stack([latents[:, 0], latents[:, -1]])  # [2, B, D]

    prediction = prediction_loss(predicted, latents[:, 1:])
    regularity = sigreg_loss(ends, key, config.sigreg_projections)
    actions = model.predictor.normalizer(windows.actions)
    inverse = inverse_loss(model.inverse(latents[:, 0], latents[:, -1]), actions.reshape(actions.shape[0], -1))
    distance, distance_metrics = distance_loss(
        model, target, latents, predicted, windows, config.expectile, config.longest_distance, config.foreign_goals
    )
    loss = prediction + config.sigreg * regularity + config.inverse * inverse + config.distance * distance

    change = jnp.mean(jnp.square(latents[:, -1] - latents[:, 0]))
    metrics = {
        "prediction": prediction,
        "sigreg": regularity / (GAUSSIAN_VALUE * PUBLISHED_BATCH / latents.shape[0]),
        "inverse": inverse,
        "distance": distance,
        "horizon_ratio": jnp.mean(jnp.square(predicted[:, -1] - latents[:, -1])) / change,
        **distance_metrics,
    }
    if model.probe_head is not None and windows.probe_targets is not None:
        seen = jax.lax.stop_gradient(latents[:, 0])
        wanted = model.probe_head.normalizer(windows.probe_targets)
        probe = jnp.mean(jnp.square(model.probe_head.mlp(seen) - wanted))
        loss = loss + probe
        metrics["probe"] = probe
    return loss, {"loss": loss, **metrics}
