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
from .sampling import check_number
from .sub_goals import Levels, SubGoalPlanner
from .types import ActionSpec, Number

NO_WAY = 1e6  # steps from which on there is no way
_AROUND = 5  # landmarks from which a way leads to the goal itself
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
    """

    ahead: Number = 8.0

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        super().validate(spec)
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
        left, last = steps_to_goal(graph, distance, params, goal)
        # A place in motion resembles places that it is about to pass: the critic knows, the latents' distance does not.
        here = jnp.argmin(jax.vmap(lambda mark: distance(params, root, mark))(graph.latents))
        landmark, arrives = landmark_ahead(graph, left, last, here, self.ahead)
        direct = arrives | (left[here] >= NO_WAY)
        return replace(state, aim=jnp.where(direct, goal, graph.latents[landmark]).astype(jnp.float32), direct=direct)


def steps_to_goal(
    graph: LandmarksLike, distance: Head, params: Params, goal: Float[Array, "D"]
) -> tuple[Float[Array, "L"], Bool[Array, "L"]]:
    """Return the steps of the shortest way from each landmark to a goal, and at which ones it leaves the landmarks.

    The goal is entered from the landmarks nearest to it. Where none leads there, the steps are `NO_WAY` or more.

    Args:
      graph: the landmarks.
      distance: the critic.
      params: of the model.
      goal: latent.
    """
    apart = jnp.sum(jnp.square(graph.latents - goal[None]), axis=-1)
    around = min(_AROUND, len(apart))
    entries = jax.lax.top_k(-apart, around)[1]
    steps = jax.vmap(lambda mark: distance(params, mark, goal))(graph.latents[entries])
    entered = jnp.full(len(apart), NO_WAY, graph.steps.dtype).at[entries].set(steps.astype(graph.steps.dtype))

    def shorter(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        left, _, rounds = state
        onward = jnp.min(graph.steps + left[graph.neighbours], axis=-1)
        return jnp.minimum(left, onward), jnp.any(onward < left), rounds + 1

    def unfinished(state: tuple[Array, Array, Array]) -> Array:
        return state[1] & (state[2] < len(apart))  # Bellman-Ford: no way is longer than all landmarks

    left, _, _ = jax.lax.while_loop(unfinished, shorter, (entered, jnp.array(True), jnp.int32(0)))
    return left, entered <= left


def landmark_ahead(
    graph: LandmarksLike,
    left: Float[Array, "L"],
    last: Bool[Array, "L"],
    here: Int[Array, ""],
    ahead: Number,
) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """Follow the shortest way; return the landmark reached and whether the way leaves the landmarks for the goal there.

    Args:
      graph: the landmarks.
      left: steps from each one to the goal.
      last: landmarks from which the shortest way leads to the goal itself.
      here: where the way begins.
      ahead: steps to follow it, at least.
    """

    def follow(state: tuple[Array, Array]) -> tuple[Array, Array]:
        landmark, passed = state
        ways = graph.steps[landmark] + left[graph.neighbours[landmark]]
        chosen = jnp.argmin(ways)
        return graph.neighbours[landmark, chosen], passed + graph.steps[landmark, chosen]

    def goes_on(state: tuple[Array, Array]) -> Array:
        landmark, passed = state
        return (passed < ahead) & ~last[landmark] & (left[landmark] < NO_WAY)

    landmark, passed = jax.lax.while_loop(goes_on, follow, (here.astype(jnp.int32), jnp.zeros((), left.dtype)))
    return landmark, last[landmark] & (passed < ahead)
