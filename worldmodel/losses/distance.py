"""Number of environment steps between two representations: the critic that shows a goal's direction from afar.

Learned by bootstrapping over goals from the same episode and from others, so that a wall is accounted for even if no
one episode contains the path around it. The steps a behaviour took bound the needed steps from above, hence the minimum
with them and the expectile regression towards shorter ones (Kostrikov et al., arXiv 2110.06169, with the sign turned).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models.goal_model import WorldModel
from ..nets.heads import STEP_SCALE, TemporalDistance
from ..types import LatentWindows, Metrics

_FOREIGN_MOMENTS = 2


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
    """Return the target distances of all latents but the last to a goal, in environment steps.

    One block more than from the next latent; at most `known`, and exactly `known` where the goal lies within the block;
    never above `longest`.

    Args:
      target: the slowly following copy of the critic.
      latents: of a window.
      goals: one for each window.
      known: steps that were actually taken from each latent to the goal; +inf where the goal is of another episode.
      block: environment steps in a block, K.
      longest: distance above which targets are clipped.
    """
    onward = block + target(latents[:, 1:], goals)
    taken = known[:, :-1]
    steps = jnp.where(taken <= block, taken, jnp.minimum(onward, taken))
    return jax.lax.stop_gradient(jnp.minimum(steps, longest))


def distance_loss(
    model: WorldModel,
    target: TemporalDistance,
    predicted: Float[Array, "B H D"],
    windows: LatentWindows,
    expectile: float,
    longest: float,
    foreign_goals: int,
) -> tuple[Float[Array, ""], Metrics]:
    """Regress the steps from the latents of a window, encoded and predicted, to its own goal and to foreign ones.

    The own goal lies in the future of the window's episode; foreign ones are the own goals of other windows in the
    batch.

    Args:
      model: with the critic that learns.
      target: the slowly following copy of the critic.
      predicted: latents predicted from the first one of each window.
      windows: encoded.
      expectile: of the regression, 0 to 1.
      longest: distance in environment steps above which nothing counts.
      foreign_goals: goals of other windows for each own one.
    """
    latents, block = windows.latents, windows.actions.shape[2]
    own = windows.goals[:, None]  # [B, 1, D]
    passed = jnp.arange(latents.shape[1], dtype=latents.dtype)[None] * block
    taken = windows.goal_offset[:, None].astype(latents.dtype) - passed  # [B, S], negative once the goal lies behind
    taken = jnp.where(taken >= 0, taken, jnp.inf)
    own_losses, own_error, steps = _regression(model, target, latents, predicted, own, taken, block, longest, expectile)

    # Towards foreign goals the moments of one window are much the same, so few of them meet many goals instead.
    few = slice(0, _FOREIGN_MOMENTS + 1)
    foreign = jnp.concatenate([jnp.roll(own, shift, axis=0) for shift in range(1, foreign_goals + 1)])  # [F·B, 1, D]
    moments = jnp.tile(latents[:, few], (foreign_goals, 1, 1))
    imagined = jnp.tile(predicted[:, :_FOREIGN_MOMENTS], (foreign_goals, 1, 1))
    unknown = jnp.full(moments.shape[:2], jnp.inf, latents.dtype)
    foreign_losses, foreign_error, foreign_steps = _regression(
        model, target, moments, imagined, foreign, unknown, block, longest, expectile
    )

    losses = [*own_losses, *foreign_losses]
    metrics = {
        "distance_own": own_error,
        "distance_foreign": foreign_error,
        "steps_own": jnp.mean(steps),
        "steps_foreign": jnp.mean(foreign_steps),
    }
    return sum(losses, start=jnp.zeros((), latents.dtype)) / len(losses), metrics


def _regression(
    model: WorldModel,
    target: TemporalDistance,
    latents: Float[Array, "N S D"],
    predicted: Float[Array, "N S-1 D"],
    goals: Float[Array, "N 1 D"],
    known: Float[Array, "N S"],
    block: int,
    longest: float,
    expectile: float,
) -> tuple[tuple[Array, Array], Float[Array, ""], Float[Array, "N S-1"]]:
    """Return losses of encoded and of predicted latents, the mean error of the former, and the target steps.

    Errors are in units of `STEP_SCALE`. All latents meet the critic in one pass, which takes most of the time.
    """
    steps = bootstrapped_steps(target, latents, goals, known, block, longest)
    encoded = steps.shape[1]
    targets = jnp.concatenate([steps, steps[:, 1:]], axis=1) / STEP_SCALE
    seen = jnp.concatenate([latents[:, :-1], predicted[:, :-1]], axis=1)
    error = model.distance_head.scaled(seen, goals) - targets
    loss = expectile_loss(error, expectile)
    losses = jnp.mean(loss[:, :encoded]), jnp.mean(loss[:, encoded:])
    return losses, jnp.mean(jnp.abs(error[:, :encoded])), steps
