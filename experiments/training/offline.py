"""Training run on one dataset: periodic training states on disk, the last good model, and their metadata."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from omegaconf import DictConfig

from worldmodel.data.episodes import EpisodeData
from worldmodel.models.checkpoint import load_training, save_model, save_training
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, WorldModel
from worldmodel.training.encoded import LatentSampler, encoded
from worldmodel.training.filling import learn_filling
from worldmodel.training.landmarks import learn_landmarks
from worldmodel.training.trainer import Trainer, TrainState

from ..build import goal_tasks
from ..build.defaults import defaults
from ..build.processes import require_same
from ..build.recipes import CUSTOM, Source, named, places, recipe
from ..build.sensor_ranges import sensor_range
from ..checks.recording import warn_of_most_important
from ..evaluation.moments import goal_mask, goal_rows
from ..pictures.memory import Memory, memory_file
from ..records.manifest import provenance
from ..shell.progress import progress_bar
from ..watching.watch import Watch
from .collapse_watch import CollapseWatch
from .data_checks import identity
from .early_stop import EarlyStop, EarlyStopping, selection_agent
from .given_data import load_for_training
from .labels import check_labels
from .prepared import Prepared, prepare
from .preview import Preview, Unfinished
from .scalars import Scalars

logger = logging.getLogger(__name__)

_RESTING = 8192  # moments whose goals are encoded at a time
CHECKPOINT_SECONDS = 20.0  # between two training states on disk: the most that a kill can lose


def train_model(cfg: DictConfig, seed: int, source: Source, out: Path, preview: Preview | None = None) -> None:
    """Train on the data and the recipe's demonstrations, and write the model; an interrupted run resumes.

    Args:
      cfg: the settings of the command.
      seed: of the weights and the training.
      source: the dataset, or several.
      out: the model's file.
      preview: sees the model once while it is trained; None: nobody does.
    """
    EarlyStop.of(cfg)  # first: what is wrong there is wrong before the data are read
    data = load_for_training(cfg, source, seed)
    every = [*places(source), *places(cfg.demonstrations)]
    words = named(every)
    warn_of_most_important(data, every)
    made = prepare(cfg, seed, data, words)
    trainer, robot = made.trainer, made.robot

    states = out.with_suffix(".training.safetensors")
    fingerprint = {**recipe(cfg, seed), "dataset": identity(data)}
    require_same(trainer.devices, fingerprint)
    state, extra = trainer.init(), dict[str, Any](history=[], seconds=0.0)
    if states.exists():
        state, extra = load_training(states, state, fingerprint, defaults(fingerprint))
        logger.info("going on from update %d in %s", int(state.update), states)
    stopping = _stopping(cfg, seed, made, extra.get("early_stop", []))
    run = _Run(trainer, made.model, states, fingerprint, extra, stopping, preview)
    given = ("dataset_id", "behaviour", "seed", "total_episodes")

    def metadata() -> dict[str, Any]:
        return {
            "task": robot,
            "action_low": data.action_low.tolist(),
            "action_high": data.action_high.tolist(),
            "recipe": recipe(cfg, seed),
            "objective": asdict(made.objective),
            "training": asdict(trainer.config),
            "history": run.history,
            "train_seconds": run.seconds,
            **run.decided,
            "env_steps": data.steps,
            "labelled_steps": data.labelled_steps,
            **sensor_range(data.observations, data.vector_spec),
            "data": {name: data.metadata.get(name) for name in given},
            **provenance(),
        }

    try:
        with Watch.of(cfg, out, int(state.update)) as watch:
            state = run.train(state, cfg.task.name, watch)
    except FloatingPointError as error:
        if run.good is None:
            raise FloatingPointError(f"{error}; there was no good model before it that could be kept") from error
        kept = out.with_suffix(".diverged.safetensors")
        save_model(kept, trainer.model(run.good), made.model, metadata())
        states.unlink(missing_ok=True)  # resuming from there would fail in the same way
        raise FloatingPointError(
            f"{error}; the last good model, of update {int(run.good.update)}, is kept in {kept}"
        ) from error
    health = {**run.health(state), **check_labels(trainer, state, data, words)}
    model = freeze(finished(cfg, trainer, state, data), made.model)
    if data.spec.pictures:
        Memory.of(model, data).save(memory_file(out))  # first: a model is there only once its memory is
    save_model(out, model, metadata={**metadata(), "health": health})
    states.unlink(missing_ok=True)


def follow(cfg: DictConfig, seed: int, source: Source) -> None:
    """Train with the first process, which alone writes files: its state is what this one begins with, too.

    Args:
      cfg: the settings of the command.
      seed: of the weights and the training.
      source: the dataset, or several.
    """
    data = load_for_training(cfg, source, seed)
    made = prepare(cfg, seed, data, named([*places(source), *places(cfg.demonstrations)]))
    require_same(made.trainer.devices, {**recipe(cfg, seed), "dataset": identity(data)})
    stopping = _stopping(cfg, seed, made, [])
    made.trainer.train(made.trainer.init(), lambda state, _: None if stopping is None else stopping(state))


def _stopping(cfg: DictConfig, seed: int, made: Prepared, checks: Sequence[Mapping[str, Any]]) -> EarlyStopping | None:
    """Return the checks of early stopping; None where it is off."""
    stop_early = EarlyStop.of(cfg)
    if stop_early is None:
        return None
    task = goal_tasks.of(cfg)
    return EarlyStopping(stop_early, made.trainer, made.model, selection_agent(cfg, task), task, seed, checks)


def finished(cfg: DictConfig, trainer: Trainer, state: TrainState, data: EpisodeData) -> WorldModel:
    """Return the trained model with the parts that come last: its head for missing sensors, and its landmarks.

    Args:
      cfg: the settings of the command.
      trainer: of the run.
      state: after its last update.
      data: that it learned from.
    """
    model, config = trainer.model(state), trainer.config
    if model.filling is None and model.landmarks is None:
        return model
    moments = encoded(trainer.sampler, model)
    if model.filling is not None and config.filling_updates:
        with progress_bar(f"fill in {cfg.task.name}", config.filling_updates, compiles=True) as bar:
            learn_filling(model, moments, config, lambda done, _: bar(done, config.filling_updates))
    if model.landmarks is not None:
        learn_landmarks(model, moments, _places(cfg, model, moments, data), config.seed)
    return model


def _places(cfg: DictConfig, model: WorldModel, moments: LatentSampler, data: EpisodeData) -> Array:
    """Return the latents `[M, D]` of all moments as goals: at rest where a simulator tells how that looks.

    It does where it knows the states, goals are about everything that is seen, and no picture has to be drawn.
    """
    if cfg.task.name == CUSTOM or data.states is None or data.spec.pictures:
        return moments.places
    task, states = goal_tasks.of(cfg), data.states
    if goal_mask(task) is not None:
        return moments.places
    encode = jax.jit(lambda rows: model.encode(jnp.repeat(rows[:, None], len(model.lags), axis=1)))
    found = [
        encode(goal_rows(task, task.achieved_goal(states[begin : begin + _RESTING])))
        for begin in range(0, len(states), _RESTING)
    ]
    return jnp.concatenate(found)


class _Run:
    """Bookkeeping of the training loop: progress, history, the last good state, and periodic states on disk."""

    def __init__(
        self,
        trainer: Trainer,
        config: ModelConfig,
        path: Path,
        fingerprint: dict[str, Any],
        extra: dict[str, Any],
        stopping: EarlyStopping | None,
        preview: Preview | None,
    ):
        self._trainer = trainer
        self._config = config
        self._path = path
        self._fingerprint = fingerprint
        self._watch = CollapseWatch(config, trainer)
        self._stopping = stopping
        self._preview = preview
        self.good: TrainState | None = None  # the last state confirmed by a later, finite loss
        self._unproven: TrainState | None = None  # the state after it, not confirmed yet
        self.history: list[dict[str, float]] = list(extra["history"])
        self._before = float(extra["seconds"])
        self._began = self._saved = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of training in seconds, summed over all resumed runs, without the preview."""
        return self._before + time.perf_counter() - self._began

    @property
    def decided(self) -> dict[str, Any]:
        """Results of the checks of early stopping, as JSON; empty where it is off."""
        return {} if self._stopping is None else {"early_stop": self._stopping.checks}

    def health(self, state: TrainState) -> dict[str, float]:
        """Figures of the representation at the end of the training."""
        return self._watch.final(state, self.history)

    def train(self, state: TrainState, name: str, watch: Watch) -> TrainState:
        """Train to the end; `watch` takes the scalars of every compiled call."""
        if int(state.update):
            self._unproven = _copied(state)
        scalars = Scalars(self._trainer, int(state.update), self.seconds)
        with progress_bar(f"train {name}", self._trainer.total, compiles=True) as bar:
            bar(int(state.update), self._trainer.total)

            def after_call(state: TrainState, metrics: dict[str, float]) -> TrainState:
                bar(int(state.update), self._trainer.total)
                # A loss confirms the weights before its updates: those after may already be non-finite.
                self.good, self._unproven = self._unproven, None
                kept = self._trainer.devices.local(state)
                if not _finite(kept.params):
                    raise FloatingPointError(
                        f"training diverged at update {int(state.update)} (weights that are not finite): lower "
                        "training.learning_rate or look for outliers in the data"
                    )
                self.history.append({"step": int(state.update), **metrics})
                self._unproven = _copied(kept)
                update, health = int(state.update), self._watch(state)
                self._show(state)
                if self._stopping is not None:
                    state = self._stopping(state)
                    bar(int(state.update), self._trainer.total)
                watch.write(update, scalars.of(update, self.seconds, metrics, health, self.decided))
                if time.perf_counter() - self._saved > CHECKPOINT_SECONDS:
                    watch.flush()
                    extra = {"history": self.history, "seconds": self.seconds, **self.decided}
                    save_training(self._path, state, self._fingerprint, extra)
                    self._saved = time.perf_counter()
                return state

            return self._trainer.train(state, after_call)

    def _show(self, state: TrainState) -> None:
        """Give the model to the preview if it is due, once; its time does not count as training."""
        update = int(state.update)
        if self._preview is None or not self._preview.due(self._trainer, update):
            return
        preview, self._preview = self._preview, None
        began, seconds = time.perf_counter(), self.seconds
        model = freeze(self._trainer.model(state), self._config)
        preview.show(Unfinished(model, update, self._trainer.total, seconds, tuple(self.history)))
        self._began += time.perf_counter() - began


def _copied(state: TrainState) -> TrainState:
    """Copy of the state to keep: the next compiled call donates the original."""
    return jax.tree.map(jnp.copy, state)


@jax.jit
def _finite(params: Any) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()
