"""Many updates in one compiled call: sampling, loss, gradient and optimiser step inside a `lax.scan`.

Every random number follows from the seed and the update's index, so a run that was killed and resumed gives the same
weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy import ndarray

from ..data.episodes import EpisodeData
from ..data.windows import LatentSampler, WindowSampler
from ..models.goal_model import ModelConfig, WorldModel, create
from ..types import Metrics, Params
from .updates import Stage, descend, repeat

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """Number and rate of updates. Learning rate: linear warm-up over 5 % of the updates, then cosine decay to 1 %."""

    updates: int = 4000
    frozen_updates: int = 0  # further updates of predictor and critic, on a finished encoder
    critic_updates: int = 0  # further updates of the critic alone, on finished representations and predictions
    policy_updates: int = 4000  # of the policy, on a world model that is finished
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    updates_per_call: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "updates_per_call"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1; got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"training.learning_rate must be positive; got {self.learning_rate}")
        for name in ("frozen_updates", "critic_updates", "policy_updates"):
            if getattr(self, name) < 0:
                raise ValueError(f"training.{name} must be at least 0; got {getattr(self, name)}")
        for name in ("updates", "frozen_updates", "critic_updates", "policy_updates"):
            if getattr(self, name) % self.updates_per_call:
                raise ValueError(
                    f"training.{name} must be a multiple of updates_per_call; "
                    f"got {getattr(self, name)} and {self.updates_per_call}"
                )


@runtime_checkable
class Objective(Protocol):
    """Objective of a `Trainer`: the configuration of its losses, which defines the stages."""

    @property
    def followed(self) -> str:
        """Name of the module whose target is a slowly following copy."""
        ...

    @property
    def target_rate(self) -> float:
        """Rate at which the target follows, per update."""
        ...

    def stages(self, model: Any, training: TrainingConfig) -> tuple[Stage, ...]:
        """Return the stages in their order.

        Raises:
          ValueError: the model or the training does not fit the objective.
        """
        ...


@register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Training state, plus the statistics that do not change: a pytree of arrays only."""

    params: Params
    target: Params  # the slowly following copy of one module
    statistics: Params
    optimizers: dict[str, Any]  # of each stage
    update: Int[Array, ""]


class Trainer:
    """Builds the compiled steps for one architecture, objective and dataset. It holds no state that changes.

    Args:
      model: with its initial weights and the scales of the data.
      sampler: of the data.
      objective: the losses, and which modules learn in which stage.
      config: number and rate of updates.
    """

    def __init__(self, model: WorldModel, sampler: WindowSampler, objective: Objective, config: TrainingConfig):
        self.config = config
        self.objective = objective
        self.sampler = sampler
        self.graphdef, self._params, *others = nnx.split(model, nnx.Param, ...)
        (self._statistics,) = others  # `...` is one filter, hence one state
        self._target = nnx.graphdef(getattr(model, objective.followed))
        self._stages = {stage.name: stage for stage in objective.stages(model, config) if stage.updates}
        self._optimizers = {name: self._optimizer(stage) for name, stage in self._stages.items()}
        self._step = jax.jit(self._many_updates, static_argnums=0, donate_argnums=1)
        self._init = jax.jit(self._first_state)  # one program, not one for each shape
        self._latents: LatentSampler | None = None

    @classmethod
    def of(
        cls,
        data: EpisodeData,
        config: ModelConfig,
        objective: Objective,
        training: TrainingConfig,
        probe_targets: Float[ndarray, "M Q"] | None = None,
    ) -> Trainer:
        """Return a trainer of a freshly initialised model with the normalization statistics of the data.

        Args:
          data: the episodes.
          config: the model's architecture, for the sensors and actions of the data.
          objective: the losses.
          training: number and rate of updates; its seed also initialises the model.
          probe_targets: values that the probe learns to decode in each row; None where the model has no probe.

        Raises:
          ValueError: no episode is long enough for a window, or the parts do not fit each other.
        """
        model = create(config, training.seed)
        taken = data.actions[data.last != np.arange(data.rows)]
        model.fit_scales(data.observations, taken, data.action_low, data.action_high, probe_targets)
        sampler = WindowSampler.of(data, config.history, config.train_blocks, config.action_block, probe_targets)
        return cls(model, sampler, objective, training)

    @property
    def total(self) -> int:
        """Number of updates of all stages."""
        return sum(stage.updates for stage in self._stages.values())

    @property
    def stages(self) -> dict[str, range]:
        """Updates of each stage by its name, in order; stages without updates are left out."""
        found, begin = {}, 0
        for name, stage in self._stages.items():
            found[name] = range(begin, begin + stage.updates)
            begin += stage.updates
        return found

    def init(self) -> TrainState:
        """Return the state before the first update."""
        return self._init(self._params, self._statistics)

    def model(self, state: TrainState) -> WorldModel:
        """Return the module with the state's weights."""
        return nnx.merge(self.graphdef, state.params, state.statistics)

    def stage(self, update: int) -> str:
        """Return the stage that an update belongs to."""
        for name, updates in self.stages.items():
            if update in updates:
                return name
        raise ValueError(f"update {update} lies beyond the last of {self.total}")

    def step(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Run `updates_per_call` updates; metrics are their means. `state` is consumed."""
        key, name = jax.random.key(self.config.seed), self.stage(int(state.update))
        encoded = self._stages[name].encoded
        if encoded and self._latents is None:
            model = self.model(state)
            self._latents = LatentSampler.of(self.sampler, model.embed, model.encode)
        return self._step(name, state, self._latents if encoded else self.sampler, key)

    def skip_stage(self, state: TrainState) -> TrainState:
        """Return the state at the end of the stage of its next update: the rest of that stage is left out.

        Later stages are not affected: each has its own optimizer state, and the batch of an update depends on its index
        alone. The stage ends at the learning rate that it has reached, not at the end of its decay.
        """
        end = self.stages[self.stage(int(state.update))].stop
        return replace(state, update=jnp.asarray(end, jnp.int32))

    def train(
        self, state: TrainState, on_progress: Callable[[TrainState, dict[str, float]], TrainState | None] | None = None
    ) -> TrainState:
        """Update until `total`; `state` is consumed.

        Args:
          state: of the first update, or of any later one.
          on_progress: called after each compiled call, with the new state and the metrics on the host; training goes on
            from the state that it returns, if any.

        Raises:
          FloatingPointError: the loss is no longer finite.
        """
        while int(state.update) < self.total:
            state, metrics = self.step(state)
            values = {name: float(value) for name, value in jax.device_get(metrics).items()}
            if not math.isfinite(values["loss"]):
                raise FloatingPointError(
                    f"training diverged at update {int(state.update)} (loss {values['loss']}): "
                    "lower training.learning_rate or look for outliers in the data"
                )
            if on_progress is not None:
                state = on_progress(state, values) or state
        return state

    def _optimizer(self, stage: Stage) -> optax.GradientTransformation:
        config, rate = self.config, stage.learning_rate
        warmup = max(1, stage.updates // 20)
        schedule = optax.warmup_cosine_decay_schedule(0.0, rate, warmup, max(stage.updates, warmup + 1), 0.01 * rate)
        return optax.chain(
            optax.clip_by_global_norm(config.clip_norm), optax.adamw(schedule, weight_decay=config.weight_decay)
        )

    def _first_state(self, params: Params, statistics: Params) -> TrainState:
        params = jax.tree.map(jnp.copy, params)  # the step donates its argument; the model keeps its own
        target = jax.tree.map(jnp.copy, params[self.objective.followed])
        optimizers = {name: each.init(_learned(params, self._stages[name])) for name, each in self._optimizers.items()}
        statistics = jax.tree.map(jnp.copy, statistics)
        return TrainState(params, target, statistics, optimizers, jnp.zeros((), jnp.int32))

    def _many_updates(
        self, name: str, state: TrainState, sampler: WindowSampler | LatentSampler, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        stage, optimizer, followed = self._stages[name], self._optimizers[name], self.objective.followed

        def update(state: TrainState) -> tuple[TrainState, Metrics]:
            batch_key, loss_key = jax.random.split(jax.random.fold_in(key, state.update))
            batch = sampler.sample(batch_key, self.config.batch)

            def loss(learned: Params) -> tuple[Array, Metrics]:
                model = nnx.merge(self.graphdef, nnx.merge_state(state.params, learned), state.statistics)
                still = [state.statistics[followed]] if followed in state.statistics else []
                return stage.loss(model, nnx.merge(self._target, state.target, *still), batch, loss_key)

            step = descend(loss, _learned(state.params, stage), optimizer, state.optimizers[name])
            params = nnx.merge_state(state.params, step.params)
            metrics = {**step.aux, "gradient_norm": optax.tree.norm(step.gradients)}
            target = optax.incremental_update(params[followed], state.target, self.objective.target_rate)
            optimizers = {**state.optimizers, name: step.optimizer}
            return TrainState(params, target, state.statistics, optimizers, state.update + 1), metrics

        return repeat(update, state, self.config.updates_per_call)


def _learned(params: Params, stage: Stage) -> Params:
    """Return the part of the parameters that learns in a stage."""
    return nnx.State({name: params[name] for name in stage.learns if name in params})
