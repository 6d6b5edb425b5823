"""Planning along landmarks: the shortest way through places of the data, and actions towards the next of them.

A critic learns short ways well and long ones vaguely: where a plan follows it from afar, it ends in the minima that the
critic has in dead ends. Landmarks are latents of the training data with the ways that the data took from one to the
next, so the shortest way through them is a way that exists (Eysenbach et al., "Search on the Replay Buffer", arXiv
1906.05253; Zhang et al., "World Model as a Graph", arXiv 2011.12491). The critic measures no more than one such way at
a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Bool, Float, Int
from .model import Head, LandmarksLike, Params
from .objective import LatentObjective
from .pytree import static
from .sampling import check_number
from .sub_goals import Levels, SubGoalPlanner
from .types import ActionSpec, Number

NO_WAY = 1e6  # steps from which on there is no way
_AROUND = 5  # landmarks from which a way leads to the goal itself
_ALIKE = 64  # landmarks among which the critic finds the one where a way begins
_FIX = "train with model.landmarks=1500"


@register_dataclass
@dataclass(frozen=True)
class Landmarks(SubGoalPlanner):
    """Shortest way through the landmarks of the training data, for goals far beyond the horizon of a plan.

    The sub-goal is the landmark on the way to the goal that is `ahead` environment steps away, and the goal itself
    where it is nearer than that, or where no way leads to it. The model needs landmarks (`model.landmarks`).

    Attributes:
      horizon: T, environment steps of the lower level's plans.
      lower: searches for actions; its own horizon is not used.
      renew: environment steps between two sub-goals.
      ahead: environment steps along the way to the sub-goal, according to the critic.
      hops: landmarks on a way at most; a longer one is none. A plan takes a bounded time for it.
    """

    ahead: Number = 8.0
    hops: int = static(128)

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        super().validate(spec)
        if self.hops < 1:
            raise ValueError(f"hops must be at least 1; got {self.hops}")
        check_number("ahead", self.ahead, 0.0, math.inf, low_open=True)

    def _check_model(self, objective: LatentObjective) -> None:
        heads = objective.model.heads
        self._needed(heads.landmarks, "landmarks", _FIX)
        self._needed(heads.distance, "a temporal-distance head", _FIX)

    def _chosen(self, objective: LatentObjective, state: Levels) -> Levels:
        model = objective.model
        heads, params = model.heads, model.params
        distance, landmarks = heads.distance, heads.landmarks
        assert distance is not None and landmarks is not None  # see `_check_model`
        graph = landmarks(params)
        root, goal = (latent.astype(graph.latents.dtype) for latent in (objective.root, objective.goal))
        left, last = steps_to_goal(graph, distance, params, goal, self.hops)
        # One in motion is nearest to places that it is about to pass: of those that look alike, the critic knows which.
        alike = _nearest(graph, root, _ALIKE)
        here = alike[jnp.argmin(jax.vmap(lambda mark: distance(params, root, mark))(graph.latents[alike]))]
        landmark, arrives = landmark_ahead(graph, left, last, here, self.ahead, self.hops)
        direct = arrives | (left[here] >= NO_WAY)
        return replace(state, aim=jnp.where(direct, goal, graph.latents[landmark]).astype(jnp.float32), direct=direct)


def steps_to_goal(
    graph: LandmarksLike, distance: Head, params: Params, goal: Float[Array, "D"], hops: int
) -> tuple[Float[Array, "L"], Bool[Array, "L"]]:
    """Return the steps of the shortest way from each landmark to a goal, and at which ones it leaves the landmarks.

    The goal is entered from the landmarks nearest to it. Where none leads there, the steps are `NO_WAY` or more.

    Args:
      graph: the landmarks.
      distance: the critic.
      params: of the model.
      goal: latent.
      hops: landmarks on a way at most.
    """
    entries = _nearest(graph, goal, _AROUND)
    steps = jax.vmap(lambda mark: distance(params, mark, goal))(graph.latents[entries])
    entered = jnp.full(len(graph.latents), NO_WAY, graph.steps.dtype).at[entries].set(steps.astype(graph.steps.dtype))

    def shorter(_: Int[Array, ""], left: Array) -> Array:  # Bellman-Ford: ways of one landmark more
        return jnp.minimum(left, jnp.min(graph.steps + left[graph.neighbours], axis=-1))

    left = jax.lax.fori_loop(0, hops, shorter, entered)
    return left, entered <= left


def landmark_ahead(
    graph: LandmarksLike,
    left: Float[Array, "L"],
    last: Bool[Array, "L"],
    here: Int[Array, ""],
    ahead: Number,
    hops: int,
) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """Follow the shortest way; return the landmark reached and whether the way leaves the landmarks for the goal there.

    Args:
      graph: the landmarks.
      left: steps from each one to the goal.
      last: landmarks from which the shortest way leads to the goal itself.
      here: where the way begins.
      ahead: steps to follow it, at least.
      hops: landmarks to follow it, at most.
    """

    def follow(_: Int[Array, ""], state: tuple[Array, Array]) -> tuple[Array, Array]:
        landmark, passed = state
        chosen = jnp.argmin(graph.steps[landmark] + left[graph.neighbours[landmark]])
        goes_on = (passed < ahead) & ~last[landmark] & (left[landmark] < NO_WAY)
        following = jnp.where(goes_on, graph.neighbours[landmark, chosen], landmark)
        return following, passed + jnp.where(goes_on, graph.steps[landmark, chosen], 0)

    start = here.astype(jnp.int32), jnp.zeros((), left.dtype)
    landmark, passed = jax.lax.fori_loop(0, hops, follow, start)
    return landmark, last[landmark] & (passed < ahead)


def _nearest(graph: LandmarksLike, latent: Float[Array, "D"], count: int) -> Int[Array, "C"]:
    """Return the landmarks nearest to a latent, at most `count` of them."""
    return jnp.argsort(jnp.sum(jnp.square(graph.latents - latent[None]), axis=-1))[:count]
