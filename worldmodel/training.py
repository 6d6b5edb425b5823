"""Many updates in one compiled call: sampling, loss, gradient and optimiser step inside a `lax.scan`.

Every random number follows from the seed and the update's index, so a run that was killed and resumed gives the same
weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, PRNGKeyArray

from .heads import TemporalDistance
from .jepa import JepaConfig, jepa_loss, latent_loss
from .model import WorldModel
from .types import Metrics, Params
from .windows import LatentSampler, WindowSampler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast. Learning rate: linear warm-up over 5 % of the updates, then cosine decay to 1 %."""

    updates: int = 4000
    frozen_updates: int = 0  # further ones of predictor, critic and policy, on an encoder that is finished
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
        if self.frozen_updates < 0:
            raise ValueError(f"training.frozen_updates must be at least 0; got {self.frozen_updates}")
        for name in ("updates", "frozen_updates"):
            if getattr(self, name) % self.updates_per_call:
                raise ValueError(
                    f"training.{name} must be a multiple of updates_per_call; "
                    f"got {getattr(self, name)} and {self.updates_per_call}"
                )

    @property
    def total(self) -> int:
        """All updates, of both stages."""
        return self.updates + self.frozen_updates


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "target", "statistics", "optimizer", "frozen_optimizer", "update"],
    meta_fields=[],
)
@dataclass(frozen=True)
class TrainState:
    """Everything that changes in training, plus the statistics that do not: a pytree of arrays only."""

    params: Params
    target: Params  # the critic's slowly following copy
    statistics: Params
    optimizer: Any
    frozen_optimizer: Any  # of the second stage
    update: Int[Array, ""]


class Trainer:
    """Builds the compiled steps for one architecture, objective and dataset. It holds no state that changes.

    The first stage trains everything together. In the second the encoder is finished: the data are encoded once, and
    what needs no more than latents goes on at the speed of small networks.
    """

    def __init__(self, model: WorldModel, sampler: WindowSampler, objective: JepaConfig, config: TrainingConfig):
        if objective.foreign_goals >= config.batch:
            raise ValueError(
                f"objective.foreign_goals ({objective.foreign_goals}) must be less than training.batch ({config.batch})"
            )
        if objective.reconstruction and model.decoder is None:
            raise ValueError("objective.reconstruction needs a decoder: add model.decoder=true, or set it to 0")
        self.config = config
        self.objective = objective
        self.sampler = sampler
        self.graphdef, self._params, *others = nnx.split(model, nnx.Param, ...)
        (self._statistics,) = others  # `...` is one filter, hence one state
        self._head = nnx.graphdef(model.distance_head)
        self.optimizer = self._optimizer(config.updates)
        self.frozen_optimizer = self._optimizer(max(config.frozen_updates, 1))
        self._step = jax.jit(self._many_updates, donate_argnums=0)
        self._frozen_step = jax.jit(self._many_frozen_updates, donate_argnums=0)
        self._latents: LatentSampler | None = None

    def init(self) -> TrainState:
        """The state before the first update."""
        params = jax.tree.map(jnp.copy, self._params)  # the step donates its argument; the model keeps its own
        statistics = jax.tree.map(jnp.copy, self._statistics)
        target = jax.tree.map(jnp.copy, params["distance_head"])
        frozen = self.frozen_optimizer.init(_later(params))
        return TrainState(params, target, statistics, self.optimizer.init(params), frozen, jnp.zeros((), jnp.int32))

    def model(self, state: TrainState) -> WorldModel:
        """The module with the state's weights."""
        return nnx.merge(self.graphdef, state.params, state.statistics)

    def step(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """`updates_per_call` updates; metrics are their means. `state` is consumed."""
        key = jax.random.key(self.config.seed)
        if int(state.update) < self.config.updates:
            return self._step(state, self.sampler, key)
        if self._latents is None:
            self._latents = LatentSampler.of(self.sampler, self.model(state).encode)
        return self._frozen_step(state, self._latents, key)

    def _optimizer(self, updates: int) -> optax.GradientTransformation:
        config = self.config
        warmup = max(1, updates // 20)
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, warmup, max(updates, warmup + 1), 0.01 * config.learning_rate
        )
        return optax.chain(
            optax.clip_by_global_norm(config.clip_norm), optax.adamw(schedule, weight_decay=config.weight_decay)
        )

    def _many_updates(self, state: TrainState, sampler: WindowSampler, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        def one(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            window_key, loss_key = jax.random.split(jax.random.fold_in(key, state.update))
            windows = sampler.sample(window_key, self.config.batch)

            def loss(params: Params) -> tuple[Array, Metrics]:
                model, target = self._merged(state, params)
                return jepa_loss(model, target, windows, loss_key, self.objective)

            (_, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
            params, optimizer = _updated(self.optimizer, gradients, state.optimizer, state.params)
            metrics["gradient_norm"] = optax.tree.norm(gradients)
            return replace(self._followed(state, params), optimizer=optimizer), metrics

        state, metrics = jax.lax.scan(one, state, None, length=self.config.updates_per_call)
        return state, jax.tree.map(jnp.mean, metrics)

    def _many_frozen_updates(
        self, state: TrainState, sampler: LatentSampler, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        def one(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            windows = sampler.sample(jax.random.fold_in(key, state.update), self.config.batch)
            trained = _later(state.params)

            def loss(trained: Params) -> tuple[Array, Metrics]:
                model, target = self._merged(state, nnx.merge_state(state.params, trained))
                return latent_loss(model, target, windows, self.objective)

            (_, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
            trained, optimizer = _updated(self.frozen_optimizer, gradients, state.frozen_optimizer, trained)
            metrics["gradient_norm"] = optax.tree.norm(gradients)
            state = self._followed(state, nnx.merge_state(state.params, trained))
            return replace(state, frozen_optimizer=optimizer), metrics

        state, metrics = jax.lax.scan(one, state, None, length=self.config.updates_per_call)
        return state, jax.tree.map(jnp.mean, metrics)

    def _merged(self, state: TrainState, params: Params) -> tuple[WorldModel, TemporalDistance]:
        return nnx.merge(self.graphdef, params, state.statistics), nnx.merge(self._head, state.target)

    def _followed(self, state: TrainState, params: Params) -> TrainState:
        """The state with new parameters, the target a little nearer to them, and one more update counted."""
        target = optax.incremental_update(params["distance_head"], state.target, self.objective.target_rate)
        return replace(state, params=params, target=target, update=state.update + 1)


def _later(params: Params) -> Params:
    """The part of the parameters that is trained on a finished encoder."""
    return nnx.State({name: params[name] for name in ("predictor", "distance_head", "policy_head")})


def _updated(
    optimizer: optax.GradientTransformation, gradients: Params, state: Any, params: Params
) -> tuple[Params, Any]:
    with jax.numpy_dtype_promotion("standard"):  # optax counts in integers; everything of ours is strict
        changes, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, changes), state


def fit(
    trainer: Trainer, state: TrainState, callback: Callable[[TrainState, dict[str, float]], None] | None = None
) -> TrainState:
    """Update until `config.total`; after each compiled call, `callback(state, metrics)` with metrics on the host.

    Raises:
      FloatingPointError: the loss is no longer finite.
    """
    while int(state.update) < trainer.config.total:
        state, metrics = trainer.step(state)
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"training diverged at update {int(state.update)} (loss {values['loss']}): "
                "lower training.learning_rate or look for outliers in the data"
            )
        if callback is not None:
            callback(state, values)
    return state
