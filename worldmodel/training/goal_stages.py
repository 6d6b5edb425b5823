"""Parts that objectives of goal-reaching models share: checks, and the losses of critic, policy and probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..losses.belief import belief_loss, doubt_loss
from ..losses.cloning import cloning_loss
from ..losses.distance import distance_loss
from ..losses.goal_policy import policy_loss
from ..losses.latent_action import foreseen
from ..losses.leap import leap_loss
from ..losses.partial_goal import PartialGoals, fitting, partial_goals
from ..models.goal_model import WorldModel
from ..nets.heads import Probe, TemporalDistance
from ..types import LatentWindows, Metrics, Sequences, Windows
from .settings import TrainingConfig
from .updates import Stage


@runtime_checkable
class GoalSettings(Protocol):
    """Settings of critic and goals; objectives describe them."""

    @property
    def distance(self) -> float:
        """Weight of the critic."""
        ...

    @property
    def descent(self) -> float:
        """Weight of the critic's descent, by which the policy learns."""
        ...

    @property
    def cloning(self) -> float:
        """Weight of the imitation of recorded actions, by which the policy learns."""
        ...

    @property
    def expectile(self) -> float:
        """Of the critic's regression."""
        ...

    @property
    def foreign_goals(self) -> int:
        """Goals of other windows per own goal."""
        ...

    @property
    def longest_distance(self) -> float:
        """Environment steps at which the critic's targets are clipped."""
        ...

    @property
    def partial_goals(self) -> float:
        """Share of the goals with only some sensors specified."""
        ...

    @property
    def asked_goals(self) -> float:
        """Share of those that ask for what the task's goals do."""
        ...

    @property
    def asked(self) -> tuple[tuple[bool, ...], ...]:
        """Entries of a goal's row that goals of the task specify, in turn; empty: any."""
        ...

    @property
    def bootstrap(self) -> float:
        """Share of the episodes that each further member of the ensemble learns from."""
        ...

    @property
    def shift(self) -> int:
        """Pixels by which pictures move at most."""
        ...


def leap_stage(model: WorldModel, training: TrainingConfig) -> Stage:
    """Return the stage of the slower dynamics, on finished representations; without updates where there are none."""
    updates = 0 if model.leaps is None else training.leap_updates
    return Stage("leap", updates, ("leaps",), slower_loss, training.learning_rate, training.batch, encoded=True)


def belief_stages(
    model: WorldModel, training: TrainingConfig, hidden: float, regularity: float, projections: int, learned: bool
) -> tuple[Stage, Stage]:
    """Return the stages of the belief and of its doubt; without updates where there is no belief.

    Args:
      model: the model.
      training: number and rate of updates.
      hidden: share of the sequences in which a region of the pictures is hidden for a while.
      regularity: weight of SIGReg.
      projections: of SIGReg.
      learned: whether the representation of a moment learns.
    """
    there = model.belief is not None
    names = ("correction", "dynamics", "expectation", *(["moment"] if learned else []))
    sizes = training.learning_rate, training.belief_batch
    drawn: Any = {"encoded": True, "moments": training.belief_moments}

    def belief(model: WorldModel, _: TemporalDistance, sequences: Sequences, key: PRNGKeyArray) -> Any:
        return belief_loss(model, sequences, key, hidden, regularity, projections)

    def doubt(model: WorldModel, _: TemporalDistance, sequences: Sequences, key: PRNGKeyArray) -> Any:
        loss = doubt_loss(model, sequences)
        return loss, {"loss": loss, "doubt": loss}

    return (
        Stage(
            "belief",
            there * training.belief_updates,
            tuple(f"belief.{name}" for name in names),
            belief,
            *sizes,
            **drawn,
        ),
        Stage("doubt", there * training.doubt_updates, ("belief.doubt",), doubt, *sizes, **drawn),
    )


def slower_loss(
    model: WorldModel, target: TemporalDistance, windows: LatentWindows, key: PRNGKeyArray
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of the slower dynamics.

    Args:
      model: the model; the modules of the stage learn.
      target: not used.
      windows: encoded.
      key: consumed.
    """
    assert model.leaps is not None
    return leap_loss(model.leaps, windows.latents, key)


def check_settings(config: GoalSettings, weights: Sequence[str]) -> None:
    """Check the settings of an objective.

    Raises:
      ValueError: a weight below 0, a share or rate out of range, or no projection or foreign goal.
    """
    for name in weights:
        if not getattr(config, name) >= 0:
            raise ValueError(f"objective.{name} must be at least 0; got {getattr(config, name)}")
    for name in ("expectile", "target_rate"):
        if not 0 < getattr(config, name) < 1:
            raise ValueError(f"objective.{name} must lie between 0 and 1; got {getattr(config, name)}")
    for name, whole in {"partial_goals": "goals", "asked_goals": "partial goals", "dropout": "windows"}.items():
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"objective.{name} must be a share of the {whole} below 1; got {getattr(config, name)}")
    if config.shift < 0:
        raise ValueError(f"objective.shift must be at least 0 pixels; got {config.shift}")
    if not 0 < config.bootstrap <= 1:
        raise ValueError(f"objective.bootstrap must be a share of the episodes above 0; got {config.bootstrap}")
    for name in ("sigreg_projections", "foreign_goals"):
        if getattr(config, name) < 1:
            raise ValueError(f"objective.{name} must be at least 1; got {getattr(config, name)}")


def check_training(config: GoalSettings, model: WorldModel, training: TrainingConfig) -> None:
    """Check that batches are large enough, and that every part of the model would learn.

    Raises:
      ValueError: they are not, or a part would not.
    """
    for name in ("batch", "critic_batch"):
        if config.distance and config.foreign_goals >= getattr(training, name):
            raise ValueError(
                f"objective.foreign_goals ({config.foreign_goals}) must be less than training.{name} "
                f"({getattr(training, name)})"
            )
    if not training.frozen_updates:
        raise ValueError(
            "members of an ensemble and goals with only some sensors specified need training.frozen_updates; got 0"
        )
    if model.policy_head is not None and not training.policy_updates:
        raise ValueError(
            "a policy needs training.policy_updates: give it some, or leave it out with model.policy=false"
        )
    if model.policy_head is not None and not (config.descent or config.cloning):
        raise ValueError(
            "objective.descent and objective.cloning are both 0, and nothing would teach the policy: raise one, or "
            "leave it out with model.policy=false"
        )
    if model.policy_head is None and config.cloning:
        raise ValueError("objective.cloning needs a policy that imitates: add model.policy=true, or set it to 0")


def joint_distance_loss(
    model: WorldModel,
    target: TemporalDistance,
    windows: Windows,
    latents: Float[Array, "B S D"],
    predicted: Float[Array, "B H D"],
    config: GoalSettings,
    critic_batch: int,
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of the critic while the encoder learns, and metrics.

    Args:
      model: the model.
      target: the slowly following copy of the critic.
      windows: of observations.
      latents: encoded from them.
      predicted: latents predicted from the first one of each window.
      config: settings of the critic.
      critic_batch: the first windows, as many as the critic learns from.
    """
    few = jax.tree.map(lambda values: values[:critic_batch], windows)  # goals that are pictures are no more
    embedded = model.embed(few.goals)
    goals = model.encode(embedded), embedded[:, -1]
    encoded = LatentWindows(latents[:critic_batch], few.actions, *goals, few.goal_offset, few.episode)
    settings = config.expectile, config.longest_distance, config.foreign_goals
    distance, errors = distance_loss(model, target, predicted[:critic_batch], encoded, *settings)
    return distance, {"distance": distance, **errors}


def probe_loss(head: Probe, latents: Float[Array, "B D"], targets: Float[Array, "B Q"]) -> Float[Array, ""]:
    """Mean squared error of the probe, from which no gradient reaches the representation."""
    return jnp.mean(jnp.square(head.mlp(jax.lax.stop_gradient(latents)) - head.normalizer(targets)))


def horizon_ratio(latents: Float[Array, "B S D"], predicted: Float[Array, "B S-1 D"]) -> Float[Array, ""]:
    """Error of the last predicted latent over that of predicting no change."""
    change = jnp.mean(jnp.square(latents[:, -1] - latents[:, 0]))
    return jnp.mean(jnp.square(predicted[:, -1] - latents[:, -1])) / change


def critic_loss(
    model: WorldModel, target: TemporalDistance, windows: LatentWindows, key: PRNGKeyArray, config: GoalSettings
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of the critic on finished representations and predictions.

    Args:
      model: the model; the modules of the stage learn.
      target: the slowly following copy of the critic.
      windows: encoded.
      key: consumed.
      config: weights of the losses.
    """
    goals = partial_goals(model, windows.goal_embeddings, key, config.asked, config.asked_goals)
    windows = _with_partial_goals(windows, goals, config)
    predicted = foreseen(model, windows)  # by the member used for planning
    loss, metrics = distance_loss(
        model, target, predicted, windows, config.expectile, config.longest_distance, config.foreign_goals
    )
    return loss, {"loss": loss, "distance": loss, **metrics}


def policy_stage(model: WorldModel, config: GoalSettings, training: TrainingConfig) -> Stage:
    """Return the stage of the policy, on a finished world model; without updates where there is none."""
    updates, loss = training.policy_updates if model.policy_head is not None else 0, partial(reflex_loss, config=config)
    sizes = training.learning_rate, training.policy_batch
    imitates = config.cloning > 0
    return Stage("policy", updates, ("policy_head",), loss, *sizes, encoded=True, imitates=imitates)


def reflex_loss(
    model: WorldModel, target: TemporalDistance, windows: LatentWindows, key: PRNGKeyArray, config: GoalSettings
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of the policy on a finished world model: it descends the critic, imitates, or both.

    Args:
      model: the model; the modules of the stage learn.
      target: not used.
      windows: encoded.
      key: consumed.
      config: weights of the losses.
    """
    goals = partial_goals(model, windows.goal_embeddings, key, config.asked, config.asked_goals)
    windows, losses = _with_partial_goals(windows, goals, config), dict[str, Array]()
    if config.descent:
        losses["policy"] = policy_loss(model, windows)
    if config.cloning:
        losses["cloning"] = cloning_loss(model, windows)
    weights = {"policy": config.descent, "cloning": config.cloning}
    loss = sum((weights[name] * each for name, each in losses.items()), start=jnp.zeros((), jnp.float32))
    return loss, {"loss": loss, **losses}


def _with_partial_goals(windows: LatentWindows, partial: PartialGoals, config: GoalSettings) -> LatentWindows:
    """Replace a share of the goals by their representations with only some sensors specified, of several the fitting.

    This is valid for the critic, too: the steps to a full goal are an upper bound of the steps to a part of it.
    """
    goals = jax.lax.stop_gradient(fitting(partial, windows.goals))
    is_partial = jnp.arange(len(goals), dtype=jnp.int32) < round(config.partial_goals * len(goals))
    return replace(windows, goals=jnp.where(is_partial[:, None], goals, windows.goals))
