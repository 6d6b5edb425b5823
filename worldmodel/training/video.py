"""Reward-free objective for episodes of which only some actions were recorded, or none.

`L = prediction + λ_s · SIGReg + λ_i · inverse dynamics + λ_a · alignment + λ_c · decoding + λ_n · ‖u‖² + λ_d · critic`.
Encoder and predictor learn from all episodes, by the latent actions inferred from them; the terms that need an action
learn from the steps that have one, from the first update on: labels that come after pre-training are worth much less
(Nikulin et al., arXiv 2502.00379). The targets of predictions are live.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ..losses.collapse import GAUSSIAN_VALUE, PUBLISHED_BATCH, sigreg_loss
from ..losses.latent_action import (
    Controlled,
    Controls,
    alignment_loss,
    decoding_loss,
    inferred_codes,
    known_mean,
)
from ..losses.partial_goal import goal_loss, partial_goals
from ..losses.prediction import bootstrap_weights, further_members_in_turn, prediction_loss
from ..models.goal_model import WorldModel
from ..nets.heads import TemporalDistance
from ..types import LatentWindows, Metrics, Windows
from .augmentation import kept_parts, shifted, without
from .goal_stages import (
    check_settings,
    check_training,
    critic_loss,
    joint_distance_loss,
    leap_stage,
    policy_stage,
    probe_loss,
)
from .settings import TrainingConfig
from .updates import Stage

_OF_GOALS = ("distance", "descent", "cloning")
_WEIGHTS = ("prediction", "sigreg", "inverse", "alignment", "decoding", "latent_norm", "latent_noise", *_OF_GOALS)


@dataclass(frozen=True)
class VideoConfig:
    """Weights of the parts (0 disables one), and settings of latent actions, critic and ensemble.

    Raises:
      ValueError: a weight below 0, a share or rate out of range, or no projection or foreign goal.
    """

    prediction: float = 1.0
    sigreg: float = 0.09
    inverse: float = 1.0  # of the recorded actions between the ends of a window
    alignment: float = 1.0  # between the latent actions of recorded blocks, mapped from the actions and inferred
    decoding: float = 1.0  # of recorded actions from the latent actions inferred for them
    latent_noise: float = 0.2  # standard deviation of the noise on inferred latent actions
    latent_norm: float = 0.01  # of the mean square of inferred latent actions
    masked: float = 0.1  # share of the windows that are predicted from a first moment with parts of it left out
    distance: float = 1.0
    descent: float = 1.0  # of the critic's descent, by which the policy learns
    cloning: float = 0.0  # of the imitation of recorded actions, by which the policy learns; of demonstrations, if any
    sigreg_projections: int = 64
    expectile: float = 0.3
    foreign_goals: int = 4  # goals of other windows that the critic learns from, per own goal
    longest_distance: float = 500.0  # environment steps, above which the critic's targets are clipped
    target_rate: float = 0.02  # of the moving average that is the critic's target, per update
    partial_goals: float = 0.25  # share of the critic's goals with only some sensors specified
    asked_goals: float = 0.0  # share of those that ask for the same as goals of the task, in turn as in `asked`
    asked: tuple[tuple[bool, ...], ...] = ()  # each: which entries of a goal's row those specify; empty: any
    bootstrap: float = 0.8  # share of the episodes that each further member of the ensemble learns from
    shift: int = 0  # pixels by which the pictures of a window move at most, at random
    dropout: float = 0.2  # share of the windows in which an optional sensor is left out of the first moment

    followed: ClassVar[str] = "distance_head"  # the critic learns from a slowly following copy of itself

    def __post_init__(self) -> None:
        check_settings(self, _WEIGHTS)
        if not 0 <= self.masked < 1:
            raise ValueError(f"objective.masked must be a share of the windows below 1; got {self.masked}")

    def stages(self, model: WorldModel, training: TrainingConfig) -> tuple[Stage, ...]:
        """Return the training stages, in order.

        First everything that shapes the representation, jointly. Then the encoder is finished, and on its latents the
        map from actions, the inverse model and all members of the predictor learn further; then the critic, which needs
        no action, and the policy.

        Raises:
          ValueError: too few windows in a batch, or a part of the model that is missing or would never learn.
        """
        check_training(self, model, training)
        if model.latent_actions is None:
            raise ValueError("method=video learns with latent actions: set model.latent_action to 1 or more; got 0")
        if model.belief is not None:
            raise ValueError("a belief learns from all actions, as method=jepa does: set model.belief to 0")
        if not self.prediction:
            raise ValueError("objective.prediction is 0, and nothing would teach the predictor: raise it")
        joint_loss, frozen_loss, critic = (
            partial(loss, config=self)
            for loss in (partial(video_loss, critic_batch=training.critic_batch), latent_video_loss, critic_loss)
        )
        dynamics = ("predictor.map", "latent_actions")
        joint = ("encoder", "pictures", "predictor.members.0", *dynamics, "inverse", "distance_head", "probe_head")
        frozen = ("predictor.members", *dynamics, "goal_head")
        critic_updates = training.critic_updates if self.distance else 0
        rate, batch = training.learning_rate, training.batch
        return (
            Stage(
                "joint",
                training.updates,
                joint,
                joint_loss,
                rate,
                batch,
                goals=training.critic_batch,
                whole_pictures=self.shift > 0,
            ),
            Stage("frozen", training.frozen_updates, frozen, frozen_loss, rate, batch, encoded=True),
            Stage("critic", critic_updates, ("distance_head",), critic, rate, training.critic_batch, encoded=True),
            policy_stage(model, self, training),
            leap_stage(model, training),
        )


def video_loss(
    model: WorldModel,
    target: TemporalDistance,
    windows: Windows,
    key: PRNGKeyArray,
    config: VideoConfig,
    critic_batch: int,
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss that shapes the representation on one batch of windows, and its parts as metrics.

    `horizon_ratio` is that of `jepa_loss`, of the windows whose actions were all recorded: an inferred latent action
    tells what will happen. Without a single one it is that of all windows.

    Args:
      model: the model; the modules of the stage learn.
      target: the slowly following copy of the critic.
      windows: of observations, some with actions.
      key: consumed.
      config: weights of the losses.
      critic_batch: the first windows, as many as the critic learns from.
    """
    spec = model.encoder.spec
    shift_key, mask_key, noise_key, key = jax.random.split(key, 4)
    if spec.pictures and config.shift:
        windows = shifted(windows, spec, shift_key, config.shift)
    embeddings = model.embed(windows.observations)
    latents = model.encode(embeddings)  # [B, H+1, D]
    patches = {name: rows * columns for name, (rows, columns) in model.encoder.patch_grids.items()}
    kept = kept_parts(spec, patches, len(latents), mask_key, config.masked, config.dropout)
    root = latents[:, 0] if kept is None else model.encode(without(embeddings[:, 0], kept))
    loss, metrics, predicted = _dynamics_loss(model, root, latents, windows, noise_key, config)
    # SIGReg on the first and the last moment: those between are much the same, and would only cost time.
    regularity = sigreg_loss(jnp.stack([latents[:, 0], latents[:, -1]]), key, config.sigreg_projections)
    actions = model.predictor.normalizer(windows.actions).reshape(len(latents), -1)
    errors = jnp.mean(jnp.square(model.inverse(latents[:, 0], latents[:, -1]) - actions), axis=-1)
    inverse = known_mean(errors, jnp.all(_labelled(windows), axis=-1))
    loss = loss + config.sigreg * regularity + config.inverse * inverse
    metrics["sigreg"] = regularity / (GAUSSIAN_VALUE * PUBLISHED_BATCH / len(latents))
    metrics["inverse"] = inverse
    if config.distance:
        distance, found = joint_distance_loss(model, target, windows, latents, predicted, config, critic_batch)
        metrics.update(found)
        loss = loss + config.distance * distance
    if windows.probe_targets is not None and model.probe_head is not None:
        metrics["probe"] = probe_loss(model.probe_head, latents[:, 0], windows.probe_targets)
        loss = loss + metrics["probe"]
    return loss, {"loss": loss, **metrics}


def latent_video_loss(
    model: WorldModel, target: TemporalDistance, windows: LatentWindows, key: PRNGKeyArray, config: VideoConfig
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of the map from actions and of all members on a finished encoder, and of partial goals.

    Args:
      model: the model; the modules of the stage learn.
      target: not used.
      windows: encoded.
      key: consumed.
      config: weights of the losses.
    """
    goal_key, noise_key, further_key = jax.random.split(key, 3)
    goals = partial_goals(model, windows.goal_embeddings, goal_key, config.asked, config.asked_goals)
    goal = goal_loss(goals, windows.goals)
    latents = windows.latents
    loss, metrics, _ = _dynamics_loss(model, latents[:, 0], latents, windows, noise_key, config)
    loss, metrics = loss + goal, {**metrics, "partial_goal": goal}
    if len(model.predictor.members) > 1:
        controls, _ = _controls(model, latents, windows, further_key, config)
        controlled = Controlled(model.predictor)
        predicted, members = further_members_in_turn(controlled, latents[:, 0], controls)
        shares = bootstrap_weights(windows.episode, len(controlled.members), config.bootstrap)
        weights = shares[members, jnp.arange(len(members), dtype=members.dtype)]
        prediction = prediction_loss(predicted, latents[:, 1:], weights)
        metrics["further_prediction"] = prediction
        loss = loss + config.prediction * prediction
    return loss, {"loss": loss, **metrics}


def _dynamics_loss(
    model: WorldModel,
    root: Float[Array, "B D"],
    latents: Float[Array, "B S D"],
    windows: Windows | LatentWindows,
    key: PRNGKeyArray,
    config: VideoConfig,
) -> tuple[Float[Array, ""], Metrics, Float[Array, "B S-1 D"]]:
    """Return the loss of prediction, map and latent actions, metrics, and the predicted latents."""
    controls, codes = _controls(model, latents, windows, key, config)
    predicted = Controlled(model.predictor).rollout(root, controls)
    metrics = {
        "prediction": prediction_loss(predicted, latents[:, 1:], jnp.ones(len(latents), latents.dtype)),
        "alignment": alignment_loss(model, latents, controls, codes),
        "decoding": decoding_loss(model, latents, controls, controls.inferred),
        "latent_norm": jnp.mean(jnp.square(codes)),
    }
    loss = sum((getattr(config, name) * value for name, value in metrics.items()), start=jnp.zeros((), root.dtype))
    return loss, {**metrics, "horizon_ratio": _ratio_by_actions(latents, predicted, controls.labelled)}, predicted


def _ratio_by_actions(
    latents: Float[Array, "B S D"], predicted: Float[Array, "B S-1 D"], labelled: Bool[Array, "B S-1"]
) -> Float[Array, ""]:
    """`horizon_ratio` of the windows whose actions were all recorded; of all windows where there is none."""
    known = jnp.all(labelled, axis=-1)
    known = known | ~jnp.any(known)
    error, change = jnp.square(predicted[:, -1] - latents[:, -1]), jnp.square(latents[:, -1] - latents[:, 0])
    return known_mean(jnp.mean(error, axis=-1), known) / known_mean(jnp.mean(change, axis=-1), known)


def _controls(
    model: WorldModel,
    latents: Float[Array, "B S D"],
    windows: Windows | LatentWindows,
    key: PRNGKeyArray,
    config: VideoConfig,
) -> tuple[Controls, Float[Array, "B S-1 U"]]:
    """Return what leads through the windows, with noise, and the latent actions without it."""
    codes = inferred_codes(model, latents)
    noisy = codes + config.latent_noise * jax.random.normal(key, codes.shape)
    return Controls(windows.actions, noisy, _labelled(windows)), codes


def _labelled(windows: Windows | LatentWindows) -> Bool[Array, "B H"]:
    return jnp.ones(windows.actions.shape[:2], bool) if windows.labelled is None else windows.labelled
