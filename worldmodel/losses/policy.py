"""A policy that does in one pass what the planner searches for: it follows the critic down through the predictor.

The gradient of the imagined steps to the goal flows through critic and predictor into the actions, and no further: the
policy changes nothing of the world model. (The amortised form of planning: Heess et al., arXiv 1510.09142, with a
learned model; no rewards and no behaviour to imitate are needed, so random data will do.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ..model import WorldModel
from ..types import LatentWindows


def policy_loss(model: WorldModel, windows: LatentWindows) -> Float[Array, ""]:
    """Mean scaled distance to the goal along the policy's own imagined path, over as many blocks as a window has.

    One half of the windows go to their own goal, the other to the goal of another window.
    """
    graphdef, state = nnx.split(model)
    world = nnx.merge(graphdef, jax.lax.stop_gradient(state))
    goals = jax.lax.stop_gradient(windows.goals)
    half = len(goals) // 2
    goals = jnp.concatenate([goals[:half], jnp.roll(goals, 1, axis=0)[half:]])

    def step(latent: Array, _: None) -> tuple[Array, Array]:
        later = world.predict(latent, model.policy(latent, goals))
        return later, world.distance_head.scaled(later, goals)

    root = jax.lax.stop_gradient(windows.latents[:, 0])
    _, remaining = jax.lax.scan(step, root, None, length=windows.actions.shape[1])
    return jnp.mean(remaining)
