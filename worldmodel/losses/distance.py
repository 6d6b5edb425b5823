"""How many environment steps lie between two representations: the critic that makes a goal's direction visible from afar.

Learned by bootstrapping over goals from the same episode and from others, so that a wall counts even where nobody drove
around it in one episode. The steps that a behaviour took bound the steps that were needed from above, hence the minimum
with them and the expectile regression towards shorter ones (Kostrikov et al., arXiv 2110.06169, with the sign turned).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..heads import TemporalDistance
from ..model import WorldModel
from ..types import Metrics, Windows


def expectile_loss(error: Float[Array, "..."], expectile: float) -> Float[Array, "..."]:
    """`|τ − [error > 0]| · error²` with error = prediction − target: τ < 0.5 settles below the mean of the targets."""
    weight = jnp.where(error > 0, 1.0 - expectile, expectile)
    return weight * jnp.square(error)


def bootstrapped_steps(
    target: TemporalDistance,
    latents: Float[Array, "B S D"],
    goals: Float[Array, "B 1 D"],
    known: Float[Array, "B S"],
    block: int,
    longest: float,
) -> Float[Array, "B S-1"]:
    """What the distances of all latents but the last to a goal should be, in environment steps.

    One block more than from the next latent; no more than `known`, the steps that were really taken (+inf where the goal
    is of another episode); exactly those where the goal lies within the block; and never above `longest`.
    """
    onward = block + target(latents[:, 1:], goals)
    taken = known[:, :-1]
    steps = jnp.where(taken <= block, taken, jnp.minimum(onward, taken))
    return jax.lax.stop_gradient(jnp.minimum(steps, longest))


def distance_loss(
    model: WorldModel,
    target: TemporalDistance,
    latents: Float[Array, "B S D"],
    predicted: Float[Array, "B S-1 D"],
    windows: Windows,
    expectile: float,
    longest: float,
    foreign_goals: int,
) -> tuple[Float[Array, ""], Metrics]:
    """Regress `log(1 + steps)` from every latent of a window, encoded and predicted, to two goals.

    One is the window's own, in the future of its episode; the other is the own goal of the window before it in the batch.
    `target` is the slowly following copy of the critic.
    """
    block = windows.actions.shape[2]
    own = model.encode(windows.goals)[:, None]  # [B, 1, D]
    passed = jnp.arange(latents.shape[1], dtype=latents.dtype)[None] * block
    taken = windows.goal_offset[:, None].astype(latents.dtype) - passed  # [B, H+1], negative once the goal lies behind
    taken = jnp.where(taken >= 0, taken, jnp.inf)

    head = model.distance_head
    total, metrics = jnp.zeros((), latents.dtype), {}
    unknown = jnp.full_like(taken, jnp.inf)
    goal_sets = [("own", own, taken)] + [("foreign", jnp.roll(own, shift, axis=0), unknown) for shift in range(1, foreign_goals + 1)]
    for name, goals, known in goal_sets:
        steps = bootstrapped_steps(target, latents, goals, known, block, longest)
        wanted = jnp.log1p(steps)
        error = head.log_steps(latents[:, :-1], goals) - wanted
        imagined_error = head.log_steps(predicted[:, :-1], goals) - wanted[:, 1:]
        total = total + jnp.mean(expectile_loss(error, expectile)) + jnp.mean(expectile_loss(imagined_error, expectile))
        metrics[f"distance_{name}"] = jnp.mean(jnp.abs(error))
        metrics[f"steps_{name}"] = jnp.mean(steps)
    return total / (2 * len(goal_sets)), metrics
