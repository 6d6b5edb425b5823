"""Policy by imitation: the recorded actions are the way to what the same episode reached later.

Goals in hindsight (Ding et al., Goal-conditioned imitation learning, NeurIPS 2019; Ghosh et al., arXiv 1912.06088), on
the latents of a finished world model: a prior for the planner, or a reflex, from demonstrations.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from ..types import LatentWindows


def cloning_loss(model: WorldModel, windows: LatentWindows) -> Float[Array, ""]:
    """Mean squared error of the policy's next block, in half ranges of the actions, over the steps before the goal.

    Windows that are no demonstrations, where there are any, and blocks whose actions were not recorded do not count.
    """
    taken = windows.actions[:, 0]  # [B, K, A]
    assert model.policy_head is not None
    half = (model.policy_head.high[...] - model.policy_head.low[...]) / 2
    wrong = (model.policy(windows.latents[:, 0], windows.goals) - taken) / jnp.maximum(half, 1e-6)[None, None]
    steps = jnp.arange(taken.shape[1], dtype=windows.goal_offset.dtype)
    counts = steps[None, :] < windows.goal_offset[:, None]  # at the goal no action leads there
    for known in (windows.demonstrated, None if windows.labelled is None else windows.labelled[:, 0]):
        counts = counts if known is None else counts & known[:, None]
    weights = counts.astype(wrong.dtype)
    return jnp.sum(weights * jnp.mean(jnp.square(wrong), axis=-1)) / jnp.maximum(jnp.sum(weights), 1.0)
