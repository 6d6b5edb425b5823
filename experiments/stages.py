"""Collect and train, as stages that can be asked for: what is complete and of the same recipe is used again.

Files lie beside each other under `runs`, named by task and seed. A stage that was interrupted goes on where it stopped,
or starts anew where nothing had been finished; a file of another recipe is never overwritten, but named.
"""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf

import envs
from envs.behaviours import Behaviour
from envs.collect import Collected, collect
from worldmodel.checkpoint import Checkpoint, load_model, load_training, save_model, save_training
from worldmodel.dataset import EpisodeData, load
from worldmodel.jepa import JepaConfig
from worldmodel.model import ModelConfig, create
from worldmodel.training import Trainer, TrainingConfig, TrainState, fit
from worldmodel.windows import WindowSampler

from .build import fill, make
from .fits import check_data, check_moves, check_task, identity
from .progress import progress_bar
from .watch import CollapseWatch

logger = logging.getLogger(__name__)

CUSTOM = "custom"  # the task of data that no task of ours made: a robot's own logs

CHECKPOINT_SECONDS = 20.0  # between two training states on disk: what a kill can cost


@dataclass(frozen=True)
class Paths:
    """Where one recipe's files lie."""

    data: Path
    model: Path
    training: Path

    @classmethod
    def of(cls, cfg: DictConfig, seed: int) -> Paths:
        """The places in the folder `cfg.runs` for this task and seed; nothing need be there yet."""
        stem = f"{cfg.task.name.replace('/', '-')}-seed{seed}"
        runs = Path(cfg.runs)
        return cls(runs / f"{stem}-data", runs / f"{stem}.safetensors", runs / f"{stem}.training.safetensors")


def collect_data(cfg: DictConfig, seed: int, path: Path) -> Collected:
    """Roll out the recipe's behaviour into a new dataset at `path`."""
    behaviour: Behaviour = make(cfg.behaviour, "behaviour")
    episodes, steps = int(cfg.collection.episodes), int(cfg.collection.steps)
    with progress_bar(f"collect {cfg.task.name}", episodes) as bar:
        return collect(
            envs.make(cfg.task.name), behaviour, episodes=episodes, steps=steps, seed=seed, path=path, progress=bar
        )


def ensure_data(cfg: DictConfig, seed: int) -> Path | str:
    """The dataset to learn from: the given one, or the recipe's, which is collected where it is missing.

    Raises:
      ValueError: a dataset of another recipe lies in its place.
    """
    if cfg.data is not None:
        return str(cfg.data)
    if cfg.task.name == CUSTOM:
        raise ValueError("task=custom learns from a robot's own logs: add data=FOLDER, as docs/own_logs.md says")
    path = Paths.of(cfg, seed).data
    if not path.exists():
        collect_data(cfg, seed, path)
        return path
    behaviour: Behaviour = make(cfg.behaviour, "behaviour")
    wanted = {
        "task": json.dumps(envs.make(cfg.task.name).describe()),
        "behaviour": json.dumps(behaviour.describe()),
        "seed": seed,
        "total_episodes": int(cfg.collection.episodes),
        "total_steps": int(cfg.collection.episodes) * int(cfg.collection.steps),
    }
    found = _metadata(path)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ValueError(
                f"{path} was collected with {name}={found.get(name)}, and this recipe wants {value}: remove it, or "
                "give this run another folder with runs=FOLDER"
            )
    logger.info("using the data in %s", path)
    return path


def ensure_model(cfg: DictConfig, seed: int, path: Path | None = None) -> Checkpoint:
    """The recipe's trained model: read where it is complete, trained (or trained further) where it is not.

    It lies at `path`, or else in its place under `cfg.runs`, where the data are in any case.

    Raises:
      ValueError: a model of another recipe lies in its place.
    """
    path = path or Paths.of(cfg, seed).model
    if not path.exists():
        train_model(cfg, seed, path)
        return load_model(path)
    checkpoint = load_model(path)
    stored, wanted = checkpoint.metadata.get("recipe", {}), recipe(cfg, seed)
    for name in sorted({*stored, *wanted}):
        if stored.get(name) != wanted.get(name):
            raise ValueError(
                f"{path} was trained with {name}={stored.get(name)}, and this recipe has {wanted.get(name)}: remove "
                f"it, or give this run another folder with runs=FOLDER, or plan with it as it is by checkpoint={path}"
            )
    logger.info("using the model in %s", path)
    return checkpoint


def train_model(cfg: DictConfig, seed: int, out: Path) -> None:
    """Train on the recipe's data and write the model; a run that was stopped before goes on from its last state."""
    source = ensure_data(cfg, seed)
    data = load(source)
    if cfg.task.name == CUSTOM:
        description = describe_logs(cfg, data, source)
        targets = (
            data.states if data.metadata.get("logs") else None
        )  # of a robot's positions; of others, nothing is known
    else:
        task = envs.make(cfg.task.name)
        description = task.describe()
        check_task(data, task.name, source)
        check_data(data, description, source, owner=task.name)
        targets = None if data.states is None else probe_targets(task, data.states)
    check_moves(data, source)
    model_config = fill(
        ModelConfig,
        {
            "observation_size": data.observations.shape[1],
            "action_size": data.actions.shape[1],
            "probe_size": 0 if targets is None else targets.shape[1],
            **_settings(cfg.model),
        },
        "model",
    )
    objective = fill(JepaConfig, _settings(cfg.objective), "objective")
    training = fill(TrainingConfig, {**_settings(cfg.training), "seed": seed}, "training")

    model = create(model_config, seed)
    model.encoder.normalizer.fit(data.observations)
    if model.policy_head is not None:
        model.policy_head.fit(data.action_low, data.action_high)
    model.predictor.normalizer.fit(data.actions[data.last != np.arange(len(data.last))])
    if model.probe_head is not None and targets is not None:
        model.probe_head.normalizer.fit(targets)
    sampler = WindowSampler.of(
        data, model_config.history, model_config.train_blocks, model_config.action_block, targets
    )
    trainer = Trainer(model, sampler, objective, training)

    states = out.with_suffix(".training.safetensors")
    fingerprint = {**recipe(cfg, seed), "dataset": identity(data)}
    state, extra = trainer.init(), {"history": [], "seconds": 0.0}
    if states.exists():
        state, extra = load_training(states, state, fingerprint)
        logger.info("going on from update %d in %s", int(state.update), states)
    run = _Run(trainer, states, fingerprint, extra, CollapseWatch(model_config, trainer))

    def metadata() -> dict[str, Any]:
        return {
            "task": description,
            "action_low": data.action_low.tolist(),
            "action_high": data.action_high.tolist(),
            "recipe": recipe(cfg, seed),
            "objective": asdict(objective),
            "training": asdict(training),
            "history": run.history,
            "train_seconds": run.seconds,
            "env_steps": data.steps,
            "data": {name: data.metadata.get(name) for name in ("dataset_id", "behaviour", "seed", "total_episodes")},
        }

    try:
        state = run.fit(state, cfg.task.name)
    except FloatingPointError as error:
        if run.good is None:
            raise
        kept = out.with_suffix(".diverged.safetensors")
        save_model(kept, trainer.model(run.good), model_config, metadata())
        states.unlink(missing_ok=True)  # going on from there would come to the same end
        raise FloatingPointError(
            f"{error}; the last good model, of update {int(run.good.update)}, is kept in {kept}"
        ) from error
    save_model(out, trainer.model(state), model_config, metadata())
    states.unlink(missing_ok=True)


class _Run:
    """The fit loop's book-keeping: progress, history, the last good state, and states on disk every so often."""

    def __init__(
        self,
        trainer: Trainer,
        path: Path,
        fingerprint: dict[str, Any],
        extra: dict[str, Any],
        watch: Callable[[TrainState], None],
    ):
        self._trainer = trainer
        self._path = path
        self._fingerprint = fingerprint
        self._watch = watch
        self.good: TrainState | None = None  # the last one that a later, finite loss has spoken for
        self._unproven: TrainState | None = None  # the one since
        self.history: list[dict[str, float]] = list(extra["history"])
        self._before = float(extra["seconds"])
        self._began = self._saved = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of training, over all its sittings."""
        return self._before + time.perf_counter() - self._began

    def fit(self, state: TrainState, name: str) -> TrainState:
        if int(state.update):
            self._unproven = _copied(state)
        with progress_bar(f"train {name}", self._trainer.total) as bar:
            bar(int(state.update), self._trainer.total)

            def after_call(state: TrainState, metrics: dict[str, float]) -> None:
                bar(int(state.update), self._trainer.total)
                # A loss speaks for the weights before its updates: those after them may be lost already.
                self.good, self._unproven = self._unproven, None
                if not _finite(state.params):
                    raise FloatingPointError(
                        f"training diverged at update {int(state.update)} (weights that are not finite): lower "
                        "training.learning_rate or look for outliers in the data"
                    )
                self.history.append({"step": int(state.update), **metrics})
                self._unproven = _copied(state)
                self._watch(state)
                if time.perf_counter() - self._saved > CHECKPOINT_SECONDS:
                    extra = {"history": self.history, "seconds": self.seconds}
                    save_training(self._path, state, self._fingerprint, extra)
                    self._saved = time.perf_counter()

            return fit(self._trainer, state, after_call)


def _copied(state: TrainState) -> TrainState:
    """For keeping: the next compiled call consumes the state itself."""
    return jax.tree.map(jnp.copy, state)


@jax.jit
def _finite(params: Any) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()


def describe_logs(cfg: DictConfig, data: EpisodeData, source: Path | str) -> dict[str, Any]:
    """What a task would say of itself, of data that have none: name, control period, bounds, sizes, words.

    Raises:
      ValueError: nothing says what the control period is, or the bounds of the actions are not finite.
    """
    known = json.loads(data.metadata.get("task", "{}"))
    period = cfg.get("control_period") or known.get("control_period")
    if period is None:
        raise ValueError(f"the data in {source} do not say how often actions are taken: add control_period=SECONDS")
    if not (np.isfinite(data.action_low).all() and np.isfinite(data.action_high).all()):
        raise ValueError(f"the data in {source} have actions without finite bounds: store them with the actuator's own")
    return {
        "task": CUSTOM,
        "action_low": data.action_low.tolist(),
        "action_high": data.action_high.tolist(),
        "action_size": data.actions.shape[1],
        "observation_size": data.observations.shape[1],
        **known,
        "control_period": float(period),
    }


def probe_targets(task: envs.Task, states: ndarray) -> ndarray:
    """What the probe learns to see: the keypoints, flat, `[M, 2 J]` float32."""
    return task.keypoints(states).reshape(len(states), -1).astype(np.float32)


def recipe(cfg: DictConfig, seed: int) -> dict[str, Any]:
    """Everything that decides what a training run gives, as JSON."""
    parts = {name: _settings(cfg[name]) for name in ("task", "model", "objective", "training")}
    if cfg.data is not None:
        return {**parts, "data": str(cfg.data), "seed": seed}
    return {**parts, "behaviour": _settings(cfg.behaviour), "collection": _settings(cfg.collection), "seed": seed}


def plan_command(path: Path, task: str) -> str:
    """How to plan with a model file again."""
    return f"jepa-mpc plan task={task} checkpoint={shlex.quote(str(path))}"


def reward_model_file(runs: str | Path, task: str, seed: int) -> Path:
    """Where `jepa-mpc train` keeps what it learned from rewards, unless told otherwise."""
    return Path(runs) / f"{task.replace('/', '-')}-seed{seed}.safetensors"


def _metadata(path: Path) -> dict[str, Any]:
    for file in (path / "metadata.json", path / "data" / "metadata.json"):
        if file.is_file():
            return dict(json.loads(file.read_text()))
    raise ValueError(f"{path} is not a Minari dataset: remove it, or give this run another folder with runs=FOLDER")


def _settings(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
