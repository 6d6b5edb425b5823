"""Reward-free objective: predict representations, prevent their collapse, and learn distances between them.

`L = prediction + λ_s · SIGReg + λ_i · inverse dynamics + λ_d · temporal distance + probe`, and on a finished encoder
the parts that need only latents; the policy comes last, when the world model is finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..losses.collapse import GAUSSIAN_VALUE, PUBLISHED_BATCH, sigreg_loss
from ..losses.detached_prediction import detached_prediction_loss
from ..losses.inverse import inverse_loss
from ..losses.partial_goal import fitting, goal_loss, goal_probe_loss, partial_goals
from ..losses.prediction import (
    bootstrap_weights,
    further_members_in_turn,
    prediction_loss,
    rollout,
)
from ..losses.reconstruction import reconstruction_loss
from ..models.goal_model import WorldModel
from ..nets.heads import TemporalDistance
from ..types import LatentWindows, Metrics, Windows
from .augmentation import kept_sensors, shifted, without
from .goal_stages import (
    belief_stages,
    check_settings,
    check_training,
    critic_loss,
    horizon_ratio,
    joint_distance_loss,
    leap_stage,
    policy_stage,
    probe_loss,
)
from .settings import TrainingConfig
from .updates import Stage

_OF_GOALS = ("distance", "descent", "cloning")
_WEIGHTS = ("prediction", "sigreg", "inverse", "reconstruction", "detached_prediction", "goal_probe", *_OF_GOALS)


@dataclass(frozen=True)
class JepaConfig:
    """Weights of the parts (0 disables one), and settings of critic and ensemble.

    Raises:
      ValueError: a weight below 0, an expectile or rate outside (0, 1), or no projection or foreign goal.
    """

    prediction: float = 1.0
    sigreg: float = 0.09
    inverse: float = 1.0
    distance: float = 1.0
    reconstruction: float = 0.0  # of the baseline that decodes its input; needs `model.decoder`
    detached_prediction: float = 0.0  # of prediction that teaches the predictor alone: no gradient reaches the encoder
    goal_probe: float = 0.0  # of the probe's output for partially specified goals
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
    learned_encoder: bool = True  # False: as it was initialised, a baseline
    hidden: float = (
        0.5  # share of the sequences in which a region of the pictures is hidden from the belief for a while
    )
    dropout: float = 0.2  # share of the windows in which an optional sensor is left out of the first moment

    followed: ClassVar[str] = "distance_head"  # the critic learns from a slowly following copy of itself

    def __post_init__(self) -> None:
        check_settings(self, _WEIGHTS)
        if not 0 <= self.hidden <= 1:
            raise ValueError(f"objective.hidden must be a share of the sequences; got {self.hidden}")

    def stages(self, model: WorldModel, training: TrainingConfig) -> tuple[Stage, ...]:
        """Return the training stages, in order.

        First what shapes the representation: the encoder, the predictor's first member, which is used for planning,
        inverse dynamics, and the critic on few windows: its gradient keeps apart what a wall separates. Then the
        encoder is finished, the data are encoded once, and the other parts learn one after another, at the speed of
        small networks: the further members, with goals that specify only some sensors; the critic, which could not
        converge while representations changed; and the policy.

        Raises:
          ValueError: too few windows in a batch, or a part of the model that is missing or would never learn.
        """
        check_training(self, model, training)
        if self.reconstruction and model.decoder is None:
            raise ValueError("objective.reconstruction needs a decoder: add model.decoder=true, or set it to 0")
        if not (self.prediction or self.detached_prediction or self.reconstruction):
            names = "objective.prediction, objective.detached_prediction and objective.reconstruction"
            raise ValueError(f"{names} are all 0, and nothing would teach the predictor: raise one")
        critic_updates = training.critic_updates if self.distance else 0
        frozen = (*(f"predictor.members.{number}" for number in range(1, len(model.predictor.members))), "goal_head")
        encoder = ("encoder", "pictures") if self.learned_encoder else ()
        joint = (*encoder, "predictor.members.0", "inverse", "distance_head", "decoder", "probe_head")
        joint_loss, frozen_loss, critic = (
            partial(loss, config=self)
            for loss in (partial(jepa_loss, critic_batch=training.critic_batch), latent_loss, critic_loss)
        )
        rate = training.learning_rate
        return (
            Stage(
                "joint",
                training.updates,
                joint,
                joint_loss,
                rate,
                training.batch,
                goals=training.critic_batch,
                whole_pictures=self.shift > 0,
            ),
            Stage("frozen", training.frozen_updates, frozen, frozen_loss, rate, training.batch, encoded=True),
            Stage("critic", critic_updates, ("distance_head",), critic, rate, training.critic_batch, encoded=True),
            policy_stage(model, self, training),
            leap_stage(model, training),
            *belief_stages(model, training, self.hidden, self.sigreg, self.sigreg_projections, self.learned_encoder),
        )


def jepa_loss(
    model: WorldModel,
    target: TemporalDistance,
    windows: Windows,
    key: PRNGKeyArray,
    config: JepaConfig,
    critic_batch: int,
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss that shapes the representation on one batch of windows, and its parts as metrics.

    `horizon_ratio` is the error of the last predicted latent over that of predicting no change: below 1, the model has
    learned something. It is the number to watch, since a collapsed model has the lowest prediction loss of all.

    Args:
      model: the model; the modules of the stage learn.
      target: the slowly following copy of the critic.
      windows: of observations.
      key: consumed.
      config: weights of the losses.
      critic_batch: the first windows, as many as the critic learns from.
    """
    spec = model.encoder.spec
    if spec.pictures and config.shift:
        key, shift_key = jax.random.split(key)
        windows = shifted(windows, spec, shift_key, config.shift)
    embeddings = model.embed(windows.observations)
    latents = model.encode(embeddings)  # [B, H+1, D]
    root = latents[:, 0]
    if spec.pictures and spec.flags and config.dropout:
        # What a sensor would show is predicted from the others: a representation without it stays one of the same kind.
        key, drop_key = jax.random.split(key)
        kept = kept_sensors(spec, len(root), drop_key, config.dropout)
        root = model.encode(without(embeddings[:, 0], kept))
    predicted = rollout(model.predict, root, windows.actions)  # [B, H, D]
    prediction = prediction_loss(predicted, latents[:, 1:], jnp.ones(len(latents), latents.dtype))
    # SIGReg on the first and the last moment: those between are much the same, and would only cost time.
    ends = jnp.stack([latents[:, 0], latents[:, -1]])  # [2, B, D]
    regularity = sigreg_loss(ends, key, config.sigreg_projections)
    actions = model.predictor.normalizer(windows.actions)
    inverse = inverse_loss(model.inverse(latents[:, 0], latents[:, -1]), actions.reshape(actions.shape[0], -1))
    loss = config.prediction * prediction + config.sigreg * regularity + config.inverse * inverse
    metrics = {
        "prediction": prediction,
        "sigreg": regularity / (GAUSSIAN_VALUE * PUBLISHED_BATCH / latents.shape[0]),
        "inverse": inverse,
        "horizon_ratio": horizon_ratio(latents, predicted),
    }
    if config.distance:
        distance, found = joint_distance_loss(model, target, windows, latents, predicted, config, critic_batch)
        metrics.update(found)
        loss = loss + config.distance * distance
    if config.reconstruction:
        metrics["reconstruction"] = reconstruction_loss(model, windows, latents, predicted)
        loss = loss + config.reconstruction * metrics["reconstruction"]
    if config.detached_prediction:
        metrics["detached_prediction"] = detached_prediction_loss(model, root, latents, windows.actions)
        loss = loss + config.detached_prediction * metrics["detached_prediction"]
    if windows.probe_targets is not None and model.probe_head is not None:
        metrics["probe"] = probe_loss(model.probe_head, latents[:, 0], windows.probe_targets)
        loss = loss + metrics["probe"]
    return loss, {"loss": loss, **metrics}


def latent_loss(
    model: WorldModel, target: TemporalDistance, windows: LatentWindows, key: PRNGKeyArray, config: JepaConfig
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of the predictor's further members and of goals with only some sensors specified.

    Args:
      model: the model; the modules of the stage learn.
      target: not used.
      windows: encoded.
      key: consumed.
      config: weights of the losses.
    """
    goals = partial_goals(model, windows.goal_embeddings, key, config.asked, config.asked_goals)
    loss = goal_loss(goals, windows.goals)
    metrics = {"partial_goal": loss}
    if config.goal_probe and model.probe_head is not None:
        metrics["goal_probe"] = goal_probe_loss(model, fitting(goals, windows.goals), windows.goals)
        loss = loss + config.goal_probe * metrics["goal_probe"]
    if len(model.predictor.members) > 1:
        latents = windows.latents
        predicted, members = further_members_in_turn(model.predictor, latents[:, 0], windows.actions)
        shares = bootstrap_weights(windows.episode, len(model.predictor.members), config.bootstrap)
        weights = shares[members, jnp.arange(len(members), dtype=members.dtype)]
        prediction = prediction_loss(predicted, latents[:, 1:], weights)
        metrics.update(further_prediction=prediction, further_horizon_ratio=horizon_ratio(latents, predicted))
        loss = loss + (config.prediction + config.detached_prediction) * prediction
    return loss, {"loss": loss, **metrics}
