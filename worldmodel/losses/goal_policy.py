"""Policy that replaces the planner's search by one forward pass: it descends the critic through the predictor.

The gradient of the predicted steps to the goal flows through critic and predictor into the actions, and no further: the
policy does not change the world model. (The amortised form of planning: Heess et al., arXiv 1510.09142, with a
learned model; no rewards and no behaviour to imitate are needed, so random data suffice.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from ..types import LatentWindows
from .prediction import UNROLL

SEGMENTS = 3  # of the policy's own path; no gradient flows from one into the one before
NEAR = 0.05  # scaled steps: below it, a goal counts as reached


def policy_loss(model: WorldModel, windows: LatentWindows) -> Float[Array, ""]:
    """Mean log distance to the goal along the policy's predicted path, `SEGMENTS` times as long as a window.

    The logarithm, because precision matters in the last steps. All segments but the first begin at a state that the
    policy has reached itself: states at rest near a goal are rare in data, and a policy that never saw them stops
    there. One half of the windows go to their own goal, the other to the goal of another window.
    """
    graphdef, state = nnx.split(model)
    world = nnx.merge(graphdef, jax.lax.stop_gradient(state))
    half = len(windows.goals) // 2
    goals = jnp.concatenate([windows.goals[:half], jnp.roll(windows.goals, 1, axis=0)[half:]])

    def step(latent: Array, _: None) -> tuple[Array, Array]:
        later = world.predict(latent, model.policy(latent, goals)).latent
        return later, later

    def segment(latent: Array, _: None) -> tuple[Array, Array]:
        steps = windows.actions.shape[1]
        return jax.lax.scan(step, jax.lax.stop_gradient(latent), None, length=steps, unroll=UNROLL)

    _, path = jax.lax.scan(segment, windows.latents[:, 0], None, length=SEGMENTS, unroll=SEGMENTS)
    remaining = world.distance_head.scaled(path, goals[None, None])  # [segments, steps, B]
    return jnp.mean(jnp.log(NEAR + remaining))
