"""Many updates in one compiled call: sampling, loss, gradient and optimiser step inside a `lax.scan`.

Every random number follows from the seed and the update's index, so a run that was killed and resumed gives the same
weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.tree_util import register_dataclass
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy import ndarray

from ..data.episodes import EpisodeData
from ..data.frame_windows import FrameWindows
from ..data.windows import WindowSampler
from ..devices import ONE, Devices
from ..models.begin import begun_with
from ..models.freeze import FrozenModel
from ..models.goal_model import ModelConfig, WorldModel, create
from ..types import LatentWindows, Metrics, Params, Sequences, Windows
from .encoded import LatentSampler, SequenceSampler, encoded
from .settings import Objective, TrainingConfig
from .updates import adamw, descend, learned_by, repeat

FRAME_UPDATES = 5  # updates whose pictures are in memory together, twice: 100 MB or so


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
      devices: that share each batch.
    """

    def __init__(
        self,
        model: WorldModel,
        sampler: WindowSampler | FrameWindows,
        objective: Objective,
        config: TrainingConfig,
        devices: Devices = ONE,
    ):
        devices.check(config.batches)
        self.config, self.objective, self.sampler, self.devices = config, objective, sampler, devices
        self.graphdef, self._params, *others = nnx.split(model, nnx.Param, ...)
        (self._statistics,) = others  # `...` is one filter, hence one state
        self._target = nnx.graphdef(getattr(model, objective.followed))
        self._stages = {stage.name: stage for stage in objective.stages(model, config) if stage.updates}
        rates = config.weight_decay, config.clip_norm
        self._optimizers = {name: adamw(stage, *rates) for name, stage in self._stages.items()}
        windows = sampler.windows if isinstance(sampler, FrameWindows) else sampler
        lengths = {stage.moments for stage in self._stages.values() if stage.moments}
        self._starts = devices.on_all({length: windows.sequence_starts(length) for length in lengths})
        self._step = devices.compiled(self.many_updates, static_argnums=0, donate_argnums=1)
        self._given = devices.compiled(self.updates_on, static_argnums=0, donate_argnums=1)
        self._next: tuple[int, Windows] | None = None  # the first update of windows gathered in advance, and these
        self._init = jax.jit(self._first_state)  # one program, not one for each shape
        self._data = sampler if isinstance(sampler, FrameWindows) else devices.on_all(sampler)
        self._latents: LatentSampler | None = None
        # Convolutions run many times slower inside a loop there.
        self.one_by_one = jax.default_backend() == "cpu" and model.slow_in_loops

    @classmethod
    def of(
        cls,
        data: EpisodeData,
        config: ModelConfig,
        objective: Objective,
        training: TrainingConfig,
        probe_targets: Float[ndarray, "M Q"] | None = None,
        contact: Bool[ndarray, "M"] | None = None,
        start: FrozenModel | None = None,
        devices: Devices = ONE,
    ) -> Trainer:
        """Return a trainer of a freshly initialised model with the normalization statistics of the data.

        Args:
          data: the episodes.
          config: the model's architecture, for the sensors and actions of the data.
          objective: the losses.
          training: number and rate of updates; its seed also initialises the model.
          probe_targets: values that the probe learns to decode in each row; None where the model has no probe.
          contact: whether something is touched in each row, for `training.contact_share`.
          start: a model whose weights and statistics take the place of fresh ones, as far as it has them.
          devices: that share each batch.

        Raises:
          ValueError: no episode is long enough for a window, the parts do not fit each other, or a batch the devices.
        """
        model = create(config, training.seed)
        taken = data.actions[(data.last != np.arange(data.rows)) & data.labelled]
        model.fit_scales(data.readings, data.last, taken, data.action_low, data.action_high, probe_targets)
        if start is not None:
            model = begun_with(model, config, start)
        kind = FrameWindows if data.spec.pictures else WindowSampler
        sizes, touched = (config.history, config.train_blocks, config.action_block), training.contact_share
        sampler = kind.of(data, *sizes, probe_targets, older=config.older, contact=contact, contact_share=touched)
        whole = any(stage.whole_pictures for stage in objective.stages(model, training))
        if isinstance(sampler, FrameWindows) and not whole:
            sampler = sampler.projected(model.project)
        return cls(model, sampler, objective, training, devices)

    @property
    def total(self) -> int:
        """Number of updates of all stages."""
        return sum(stage.updates for stage in self._stages.values())

    @property
    def stages(self) -> dict[str, range]:
        """Updates of each stage by its name, in order; stages without updates are left out."""
        found, begin = dict[str, range](), 0
        for name, stage in self._stages.items():
            found[name] = range(begin, begin + stage.updates)
            begin += stage.updates
        return found

    def init(self) -> TrainState:
        """Return the state before the first update."""
        return self._init(self._params, self._statistics)

    def model(self, state: TrainState) -> WorldModel:
        """Return the module with the state's weights, on one device."""
        return nnx.merge(self.graphdef, *self.devices.local((state.params, state.statistics)))

    def stage(self, update: int) -> str:
        """Return the stage that an update belongs to."""
        for name, updates in self.stages.items():
            if update in updates:
                return name
        raise ValueError(f"update {update} lies beyond the last of {self.total}")

    def step(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Run `updates_per_call` updates; metrics are their means. `state` is consumed."""
        name, state = self.stage(int(state.update)), self.devices.on_all(state)
        batches, key = self.batches(name, state), self.devices.on_all(jax.random.key(self.config.seed))
        if isinstance(batches, FrameWindows):
            return self._step_on_frames(name, state, batches, key)
        return self._step(name, state, batches, key)

    def _step_on_frames(
        self, name: str, state: TrainState, sampler: FrameWindows, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        """Run `updates_per_call` updates on pictures, some at a time; those of the next ones are gathered meanwhile."""
        stage, total, found = self._stages[name], self.config.updates_per_call, list[Metrics]()
        count = 1 if self.one_by_one else math.gcd(total, FRAME_UPDATES)
        begin, end, sizes = int(state.update), self.stages[name].stop, (count, stage.batch, stage.goals or stage.batch)

        def gather(update: int) -> Windows:
            return sampler.batches(self.devices.local(key), jnp.int32(update), *sizes, self.devices)

        for update in range(begin, begin + total, count):
            known, self._next = self._next, None
            windows = known[1] if known is not None and known[0] == update else gather(update)
            state, metrics = self._given(name, state, windows, key)  # returns at once, and is computed meanwhile
            if update + count < end:
                self._next = update + count, gather(update + count)
            found.append(metrics)
        return state, jax.tree.map(lambda *values: jnp.mean(jnp.stack(values)), *found)

    def batches(self, name: str, state: TrainState) -> WindowSampler | FrameWindows | LatentSampler | SequenceSampler:
        """Return the sampler of a stage's batches; the first stage on latents encodes the data with the state's model.

        Args:
          name: of the stage.
          state: with the finished encoder, for stages on latents.
        """
        if not self._stages[name].encoded:
            return self._data
        if self._latents is None:
            self._latents = self.devices.on_all(encoded(self.sampler, self.model(state)))
        if moments := self._stages[name].moments:
            return self._latents.sequences(self._starts[moments], moments)
        return self._latents.to_imitate() if self._stages[name].imitates else self._latents

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
        state = self.devices.of_first(state)
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

    def _first_state(self, params: Params, statistics: Params) -> TrainState:
        params = jax.tree.map(jnp.copy, params)  # the step donates its argument; the model keeps its own
        target = jax.tree.map(jnp.copy, params[self.objective.followed])
        optimizers = {
            name: each.init(learned_by(params, self._stages[name])) for name, each in self._optimizers.items()
        }
        statistics = jax.tree.map(jnp.copy, statistics)
        return TrainState(params, target, statistics, optimizers, jnp.zeros((), jnp.int32))

    def many_updates(self, name: str, state: TrainState, sampler: Any, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """Pure function of `updates_per_call` updates of one stage: the one that `step` compiles.

        Args:
          name: of the stage.
          state: before the updates.
          sampler: of the stage's batches, as `batches` returns it.
          key: of the run; each update folds in its index.
        """
        batch = self._stages[name].batch

        def update(state: TrainState) -> tuple[TrainState, Metrics]:
            batch_key, loss_key = jax.random.split(jax.random.fold_in(key, state.update))
            return self._updated(name, state, sampler.sample(batch_key, batch), loss_key)

        return repeat(update, state, self.config.updates_per_call)

    def updates_on(
        self, name: str, state: TrainState, windows: Windows, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        """Pure function of one update for each batch of `windows`, whose arrays have a leading axis of updates.

        Args:
          name: of the stage.
          state: before the updates.
          windows: of `FrameWindows.batches`.
          key: of the run; each update folds in its index.
        """

        def update(state: TrainState, windows: Windows) -> tuple[TrainState, Metrics]:
            _, loss_key = jax.random.split(jax.random.fold_in(key, state.update))
            return self._updated(name, state, windows, loss_key)

        if len(windows.actions) == 1:  # without a loop, inside of which some encoders are slow
            return update(state, jax.tree.map(lambda values: values[0], windows))
        state, metrics = jax.lax.scan(update, state, windows)
        return state, jax.tree.map(jnp.mean, metrics)

    def _updated(
        self, name: str, state: TrainState, batch: Windows | LatentWindows | Sequences, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        """Return the state after one update on a batch, and its metrics."""
        batch = self.devices.split(batch)
        stage, optimizer, followed = self._stages[name], self._optimizers[name], self.objective.followed

        def loss(learned: Params) -> tuple[Array, Metrics]:
            model = nnx.merge(self.graphdef, nnx.merge_state(state.params, learned), state.statistics)
            still = [state.statistics[followed]] if followed in state.statistics else []
            return stage.loss(model, nnx.merge(self._target, state.target, *still), batch, key)

        step = descend(loss, learned_by(state.params, stage), optimizer, state.optimizers[name])
        params = nnx.merge_state(state.params, step.params)
        metrics = {**step.aux, "gradient_norm": optax.tree.norm(step.gradients)}
        target = optax.incremental_update(params[followed], state.target, self.objective.target_rate)
        optimizers = {**state.optimizers, name: step.optimizer}
        return TrainState(params, target, state.statistics, optimizers, state.update + 1), metrics
