"""Planning on two levels: leaps towards the goal, and actions towards the end of the first leap.

The slower model is the same kind of world model as the faster one: it predicts latents, and its actions are choices
among possible futures. So the same planners search in both, and the end of the first leap is a goal like any other
(LeCun, "A Path Towards Autonomous Machine Intelligence", 2022, section 4.7; HWM, arXiv 2604.03208). Both levels are
scored by the model's temporal distance: the upper one to the goal, the lower one by the agent's costs to the sub-goal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float, PRNGKeyArray
from .cem import CEM
from .costs import TemporalDistance
from .model import HeadsLike, LatentModel, Leap, ObservationLike, Params, Prediction
from .objective import LatentObjective
from .pytree import static
from .sampling import SamplingPlanner, check_number
from .sub_goals import Levels, SubGoalPlanner
from .types import ActionSpec, Evaluation, Number, Status

_STEPS = "steps"  # name of the upper level's only cost
_UPPER = 1  # folded into the key of the upper level


@register_dataclass
@dataclass(frozen=True)
class Hierarchy(SubGoalPlanner):
    """Two levels of search in a model with slower dynamics (`model.leap`), for goals beyond the horizon of one.

    The upper level chooses leaps that end near the goal. The latent after the first one is the sub-goal of the lower
    level, until `renew` environment steps have passed. The lower level plans to the goal itself where it is nearer than
    `near` leaps, where the upper level found nothing, and where the critic doubts that a leap leads to the sub-goal, or
    the sub-goal towards the goal.

    Attributes:
      horizon: T, environment steps of the lower level's plans.
      lower: searches for actions; its own horizon is not used.
      upper: searches for leaps; its horizon counts leaps.
      leap_size: numbers in the model's choice of a leap, M.
      renew: environment steps between two sub-goals.
      near: leaps to the goal, according to the critic, below which there is no sub-goal.
      furthest: leaps to a sub-goal, according to the critic, above which it is refused.
      spread: largest choice, in standard deviations of what is possible.
    """

    upper: SamplingPlanner = CEM(horizon=5, num_samples=128, num_elites=12, iterations=4, noise_beta=0.0)
    leap_size: int = static(6)
    near: Number = 1.0
    furthest: Number = 2.0
    spread: Number = 2.0

    def validate(self, spec: ActionSpec) -> None:
        """Raise ValueError, in one sentence, on a configuration that cannot plan for `spec`."""
        super().validate(spec)
        if self.leap_size < 1:
            raise ValueError(f"leap_size must be at least 1; got {self.leap_size}")
        for name in ("near", "furthest"):
            check_number(name, getattr(self, name), 0.0, math.inf)
        check_number("spread", self.spread, 0.0, math.inf, low_open=True)
        self.upper.validate(spec)

    def init(self, spec: ActionSpec, key: PRNGKeyArray) -> Levels:
        """Search around the middle of the bounds. `key` belongs to the state from here on.

        Raises:
          ValueError: the configuration cannot plan for `spec`.
        """
        state = super().init(spec, key)
        return replace(state, upper=self.upper.init(self._choices, jax.random.fold_in(key, _UPPER)))

    def prepare(self, state: Levels, evaluation: Any) -> Levels:
        """Make room for the evaluation's terms, margins and latents: the state keeps its structure afterwards.

        Raises:
          ValueError: the objective imagines no latents.
        """
        state = super().prepare(state, evaluation)
        one = jnp.zeros(1, jnp.float32)
        leaps = jnp.zeros((1, self.upper.horizon, evaluation.latents.shape[-1]), jnp.float32)
        upper = self.upper.prepare(state.upper, Evaluation(one, {}, {_STEPS: one}, leaps))
        return replace(state, upper=upper)

    @property
    def _choices(self) -> ActionSpec:
        """Bounds of a choice. The period counts nothing here."""
        bound = jnp.full(self.leap_size, self.spread, jnp.float32)
        return ActionSpec(-bound, bound, 1.0)

    def _check_model(self, objective: LatentObjective) -> None:
        heads = objective.model.heads
        self._needed(heads.distance, "a temporal-distance head", "train with the distance loss")
        leap = self._needed(heads.leap, "slower dynamics", "train with model.leap=2")
        if leap.size != self.leap_size:
            raise ValueError(
                f"planner.leap_size is {self.leap_size}, and the model was trained with leaps of {leap.size} numbers"
            )

    def _chosen(self, objective: LatentObjective, state: Levels) -> Levels:
        """Search for leaps, and take the end of the first one as the sub-goal, unless it is doubtful."""
        leap, distance = objective.model.heads.leap, objective.model.heads.distance
        assert leap is not None and distance is not None  # see `_check_model`
        model, steps = objective.model, leap.steps
        above = LatentObjective(
            Leaping(model),
            {_STEPS: TemporalDistance()},
            {_STEPS: 1.0},
            objective.root,
            objective.goal,
            self._choices,
            precision=objective.precision,
        )
        search = self.upper.warm_start(state.upper, self._choices, state.age // steps)
        plan, search = self.upper.plan(above, search, self._choices)
        assert plan.latents is not None
        first = plan.latents[0]
        away, reach = (distance(model.params, objective.root, end) for end in (objective.goal, first))
        left = distance(model.params, first, objective.goal)
        sound = (plan.status != Status.FAILED) & (reach <= self.furthest * steps) & (left < away)
        direct = ~sound | (away < self.near * steps)
        return replace(
            state,
            upper=search,
            aim=jnp.where(direct, objective.goal, first).astype(jnp.float32),
            direct=direct,
        )


@register_dataclass
@dataclass(frozen=True)
class Leaping:
    """The slower dynamics of a model as a world model of its own: one step is a leap, and its action a choice."""

    model: LatentModel

    action_block = 1
    ensemble = 1

    @property
    def params(self) -> Params:
        """Every array of the model."""
        return self.model.params

    @property
    def history(self) -> int:
        """History of the model, P."""
        return self.model.history

    @property
    def observation(self) -> ObservationLike:
        """Sensors of the model."""
        return self.model.observation

    @property
    def embedding_size(self) -> int:
        """Size of the embedding of one moment, E."""
        return self.model.embedding_size

    @property
    def heads(self) -> HeadsLike:
        """Heads of the model, over the same latents."""
        return self.model.heads

    @property
    def action_size(self) -> int:
        """Numbers in a choice, M."""
        leap: Leap = self.model.heads.leap  # type: ignore[assignment]
        return leap.size

    @property
    def latent_size(self) -> int:
        """D."""
        return self.model.latent_size

    def embed(self, params: Params, observation: Mapping[str, Array]) -> Float[Array, "... E"]:
        """Embed one moment, as the model does."""
        return self.model.embed(params, observation)

    def encode(self, params: Params, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """Encode moments, as the model does."""
        return self.model.encode(params, embeddings)

    def predict(self, params: Params, latent: Float[Array, "... D"], block: Float[Array, "... 1 M"]) -> Prediction:
        """Predict the latent after one leap."""
        leap: Leap = self.model.heads.leap  # type: ignore[assignment]
        return Prediction(leap(params, latent, block[..., 0, :]))
