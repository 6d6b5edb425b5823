"""Many updates in one compiled call: sampling, loss, gradient and optimiser step inside a `lax.scan`.

Every random number follows from the seed and the update's index, so a run that was killed and resumed gives the same
weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.tree_util import register_dataclass
from jaxtyping import Array, Int, PRNGKeyArray

from ..data.windows import LatentSampler, WindowSampler
from ..models.goal_model import WorldModel
from ..types import Metrics, Params
from .jepa import JepaConfig, critic_loss, jepa_loss, latent_loss, reflex_loss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast. Learning rate: linear warm-up over 5 % of the updates, then cosine decay to 1 %."""

    updates: int = 4000
    frozen_updates: int = 0  # further ones of predictor and critic, on an encoder that is finished
    critic_updates: int = 0  # further ones of the critic alone, on representations and predictions that are finished
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


# What each stage trains, in their order. The first trains everything together but the policy. Then the encoder is
# finished: the data are encoded once, and what needs no more than latents goes on at the speed of small networks. The
# critic may go on alone: while representations change under it, it cannot settle.
STAGES: dict[str, tuple[str, ...]] = {
    "joint": ("encoder", "predictor", "inverse", "distance_head", "goal_head", "decoder", "probe_head"),
    "frozen": ("predictor", "distance_head", "goal_head"),
    "critic": ("distance_head",),
    "policy": ("policy_head",),
}


@register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that changes in training, plus the statistics that do not: a pytree of arrays only."""

    params: Params
    target: Params  # the critic's slowly following copy
    statistics: Params
    optimizers: dict[str, Any]  # of each stage
    update: Int[Array, ""]


class Trainer:
    """Builds the compiled steps for one architecture, objective and dataset. It holds no state that changes."""

    def __init__(self, model: WorldModel, sampler: WindowSampler, objective: JepaConfig, config: TrainingConfig):
        if objective.foreign_goals >= config.batch:
            raise ValueError(
                f"objective.foreign_goals ({objective.foreign_goals}) must be less than training.batch ({config.batch})"
            )
        if objective.reconstruction and model.decoder is None:
            raise ValueError("objective.reconstruction needs a decoder: add model.decoder=true, or set it to 0")
        if model.policy_head is not None and not config.policy_updates:
            raise ValueError(
                "a policy needs training.policy_updates: give it some, or leave it out with model.policy=false"
            )
        self.config = config
        self.objective = objective
        self.sampler = sampler
        self.graphdef, self._params, *others = nnx.split(model, nnx.Param, ...)
        (self._statistics,) = others  # `...` is one filter, hence one state
        self._head = nnx.graphdef(model.distance_head)
        policy_updates = config.policy_updates if model.policy_head is not None else 0
        critic_updates = config.critic_updates if objective.distance else 0
        counts = {
            "joint": config.updates,
            "frozen": config.frozen_updates,
            "critic": critic_updates,
            "policy": policy_updates,
        }
        self._counts = {name: count for name, count in counts.items() if count}
        self._optimizers = {name: self._optimizer(count) for name, count in self._counts.items()}
        self._step = jax.jit(self._many_updates, static_argnums=0, donate_argnums=1)
        self._latents: LatentSampler | None = None

    @property
    def total(self) -> int:
        """All updates, of all stages."""
        return sum(self._counts.values())

    def init(self) -> TrainState:
        """The state before the first update."""
        params = jax.tree.map(jnp.copy, self._params)  # the step donates its argument; the model keeps its own
        statistics = jax.tree.map(jnp.copy, self._statistics)
        target = jax.tree.map(jnp.copy, params["distance_head"])
        optimizers = {name: each.init(_trained(params, name)) for name, each in self._optimizers.items()}
        return TrainState(params, target, statistics, optimizers, jnp.zeros((), jnp.int32))

    def model(self, state: TrainState) -> WorldModel:
        """The module with the state's weights."""
        return nnx.merge(self.graphdef, state.params, state.statistics)

    def stage(self, update: int) -> str:
        """The stage that an update belongs to."""
        ends = 0
        for name, count in self._counts.items():
            ends += count
            if update < ends:
                return name
        raise ValueError(f"update {update} lies beyond the last of {self.total}")

    def step(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """`updates_per_call` updates; metrics are their means. `state` is consumed."""
        key, stage = jax.random.key(self.config.seed), self.stage(int(state.update))
        if stage != "joint" and self._latents is None:
            self._latents = LatentSampler.of(self.sampler, (model := self.model(state)).embed, model.encode)
        return self._step(stage, state, self.sampler if stage == "joint" else self._latents, key)

    def _optimizer(self, updates: int) -> optax.GradientTransformation:
        config = self.config
        warmup = max(1, updates // 20)
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, warmup, max(updates, warmup + 1), 0.01 * config.learning_rate
        )
        return optax.chain(
            optax.clip_by_global_norm(config.clip_norm), optax.adamw(schedule, weight_decay=config.weight_decay)
        )

    def _many_updates(
        self, stage: str, state: TrainState, sampler: WindowSampler | LatentSampler, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        def one(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            window_key, loss_key = jax.random.split(jax.random.fold_in(key, state.update))
            windows: Any = sampler.sample(window_key, self.config.batch)  # encoded in all stages but the first
            trained = _trained(state.params, stage)

            def loss(trained: Params) -> tuple[Array, Metrics]:
                model = nnx.merge(self.graphdef, nnx.merge_state(state.params, trained), state.statistics)
                if stage == "policy":
                    return reflex_loss(model, windows, loss_key, self.objective)
                target = nnx.merge(self._head, state.target)
                if stage == "joint":
                    return jepa_loss(model, target, windows, loss_key, self.objective)
                further = latent_loss if stage == "frozen" else critic_loss
                return further(model, target, windows, loss_key, self.objective)

            (_, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
            with jax.numpy_dtype_promotion("standard"):  # optax counts in integers; everything of ours is strict
                changes, optimizer = self._optimizers[stage].update(gradients, state.optimizers[stage], trained)
            params = nnx.merge_state(state.params, optax.apply_updates(trained, changes))
            metrics["gradient_norm"] = optax.tree.norm(gradients)
            target = optax.incremental_update(params["distance_head"], state.target, self.objective.target_rate)
            optimizers = {**state.optimizers, stage: optimizer}
            return TrainState(params, target, state.statistics, optimizers, state.update + 1), metrics

        state, metrics = jax.lax.scan(one, state, None, length=self.config.updates_per_call)
        return state, jax.tree.map(jnp.mean, metrics)


def _trained(params: Params, stage: str) -> Params:
    """The part of the parameters that a stage trains."""
    return nnx.State({name: params[name] for name in STAGES[stage] if name in params})


def fit(
    trainer: Trainer, state: TrainState, callback: Callable[[TrainState, dict[str, float]], None] | None = None
) -> TrainState:
    """Update until `trainer.total`; after each compiled call, `callback(state, metrics)` with metrics on the host.

    Raises:
      FloatingPointError: the loss is no longer finite.
    """
    while int(state.update) < trainer.total:
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
