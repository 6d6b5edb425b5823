"""Stage of the policy of goal-reaching models, the reflex: it learns on a finished world model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..losses.cloning import cloning_loss
from ..losses.goal_policy import SEGMENTS, policy_loss, settling_loss
from ..losses.partial_goal import partial_goals
from ..models.goal_model import WorldModel
from ..nets.heads import TemporalDistance
from ..types import LatentWindows, Metrics
from .goal_stages import GoalSettings, with_partial_goals
from .settings import TrainingConfig
from .updates import Stage


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

    With `config.settling` goals are moments as they look at rest, and what the policy learns near them begins at rest,
    too, in place of where its own predictions have led.

    Args:
      model: the model; the modules of the stage learn.
      target: not used.
      windows: encoded.
      key: consumed.
      config: weights of the losses.
    """
    goals = partial_goals(model, windows.goal_embeddings, key, config.asked, config.asked_goals)
    if config.settling:
        windows = replace(windows, goals=model.at_rest(windows.goal_embeddings))
    windows, losses = with_partial_goals(windows, goals, config), dict[str, Array]()
    if config.descent:
        losses["policy"] = policy_loss(model, windows, 1 if config.settling else SEGMENTS)
    if config.settling:
        losses["settling"] = settling_loss(model, windows, jax.random.fold_in(key, 1))
    if config.cloning:
        losses["cloning"] = cloning_loss(model, windows)
    weights = {"policy": config.descent, "settling": config.settling, "cloning": config.cloning}
    loss = sum((weights[name] * each for name, each in losses.items()), start=jnp.zeros((), jnp.float32))
    return loss, {"loss": loss, **losses}
