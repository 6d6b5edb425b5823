"""Policy that replaces the planner's search by one forward pass: it descends the critic through the predictor.

The gradient of the predicted steps to the goal flows through critic and predictor into the actions, and no further: the
policy does not change the world model. (The amortised form of planning: Heess et al., arXiv 1510.09142, with a
learned model; no rewards and no behaviour to imitate are needed, so random data suffice.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ..models.goal_model import WorldModel
from ..types import LatentWindows
from .prediction import UNROLL

SEGMENTS = 3  # of the policy's own path; no gradient flows from one into the one before
NEAR = 0.05  # scaled steps: below it, a goal counts as reached


def policy_loss(model: WorldModel, windows: LatentWindows, segments: int = SEGMENTS) -> Float[Array, ""]:
    """Mean log distance to the goal along the policy's predicted path, `segments` times as long as a window.

    The logarithm, because precision matters in the last steps. All segments but the first begin at a state that the
    policy has reached itself: states at rest near a goal are rare in data, and a policy that never saw them stops
    there. One half of the windows go to their own goal, the other to the goal of another window.

    Args:
      model: whose policy learns.
      windows: encoded.
      segments: of the path.
    """
    world = _constant(model)
    half = len(windows.goals) // 2
    goals = jnp.concatenate([windows.goals[:half], jnp.roll(windows.goals, 1, axis=0)[half:]])

    def step(latent: Array, _: None) -> tuple[Array, Array]:
        later = world.predict(latent, model.policy(latent, goals)).latent
        return later, later

    def segment(latent: Array, _: None) -> tuple[Array, Array]:
        steps = windows.actions.shape[1]
        return jax.lax.scan(step, jax.lax.stop_gradient(latent), None, length=steps, unroll=UNROLL)

    _, path = jax.lax.scan(segment, windows.latents[:, 0], None, length=segments, unroll=segments)
    remaining = world.distance_head.scaled(path, goals[None, None])  # [segments, steps, B]
    return jnp.mean(jnp.log(NEAR + remaining))


def settling_loss(model: WorldModel, windows: LatentWindows, key: PRNGKeyArray) -> Float[Array, ""]:
    """Mean log distance to a goal at rest along the policy's predicted path from rest nearby.

    Both are moments of a window, as they look at rest, so neither has drifted as imagined latents do: where prediction
    drifts from a goal at rest, a policy that learns the last steps from its own predictions alone stops beside it. All
    members of the ensemble predict the path together, which drifts less.

    Args:
      model: whose policy learns.
      windows: encoded, with the embeddings of their moments.
      key: consumed.
    """
    assert windows.moments is not None
    world = _constant(model)
    batch, moments = windows.moments.shape[:2]
    ends = jax.random.randint(key, (batch,), 1, moments)
    goals = world.at_rest(windows.moments[jnp.arange(batch, dtype=ends.dtype), ends])

    def step(latent: Array, _: None) -> tuple[Array, Array]:
        block = model.policy(latent, goals)
        members = range(len(world.predictor.members))
        later = jnp.mean(jnp.stack([world.predictor.by(each, latent, block) for each in members]), axis=0)
        return later, later

    start = world.at_rest(windows.moments[:, 0])
    _, path = jax.lax.scan(step, start, None, length=moments - 1, unroll=UNROLL)
    return jnp.mean(jnp.log(NEAR + world.distance_head.scaled(path, goals[None])))


def _constant(model: WorldModel) -> WorldModel:
    """Return the model with weights that do not learn."""
    graphdef, state = nnx.split(model)
    return nnx.merge(graphdef, jax.lax.stop_gradient(state))
