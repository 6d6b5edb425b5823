"""Collect and train, as stages on demand: complete results of the same recipe are reused.

Files lie next to each other under `runs`, named by task and seed. An interrupted stage resumes where it stopped,
or restarts if nothing was saved; a file of another recipe is never overwritten, but raises an error that names it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

import envs
from envs.behaviours import Behaviour
from envs.collect import Collected, collect
from envs.join import join
from envs.pursuit import Pursuer, acted_by, pursuits
from envs.task import PlanarView
from worldmodel.models.checkpoint import Checkpoint, load_model
from worldmodel.models.fingerprint import differing, unknown, unknown_clause

from ..build import agent, goal_tasks, make
from ..build.defaults import defaults, defaults_of
from ..build.published import checkpoint_file
from ..build.recipes import CUSTOM, Paths, Source, places, recipe
from ..build.robots import robot_of
from ..evaluation.goals.pursuing import ModelPursuer
from ..evaluation.moments import goal_mask
from ..evaluation.policy import ModelPolicy
from ..evaluation.reactive import ReactivePolicy, reflex
from ..shell.progress import progress_bar
from ..watching.watch import writers
from .data_checks import check_checkpoint
from .early_stop import EarlyStop
from .given_data import load_given
from .labels import require_labels_learned
from .offline import train_model
from .preview import Preview

logger = logging.getLogger(__name__)


_BATCH, _PLANNED = 256, 64  # episodes rolled out together; fewer where a model acts, so that progress is seen


def collect_data(cfg: DictConfig, seed: int, path: Path, numbers: range | None = None) -> Collected:
    """Roll out the recipe's behaviour into a new dataset at `path`.

    Args:
      cfg: the settings of the command.
      seed: of the data.
      path: of the dataset.
      numbers: of the episodes; None: all of the recipe.

    Raises:
      ValueError: a model acts in it, and there is none, or it does not fit the task.
    """
    behaviour = acting(cfg, make(cfg.behaviour, "behaviour"), seed)
    models = bool(pursuits(behaviour))
    numbers = numbers or range(int(cfg.collection.episodes))
    sizes = {"episodes": len(numbers), "steps": int(cfg.collection.steps), "first": numbers.start}
    with progress_bar(f"collect {cfg.task.name}", len(numbers), compiles=models) as bar:
        batch = _PLANNED if models else _BATCH
        return collect(goal_tasks.of(cfg), behaviour, **sizes, seed=seed, path=path, progress=bar, batch=batch)


def acting(cfg: DictConfig, behaviour: Behaviour, seed: int) -> Behaviour:
    """Return the behaviour with the model of `checkpoint` in those parts in which a model acts.

    Args:
      cfg: the settings of `jepa-mpc collect`.
      behaviour: of the settings.
      seed: of the plans.

    Raises:
      ValueError: a model for another task, without the head that acts, or one where none acts.
    """
    actors, file = {each.actor for each in pursuits(behaviour)}, cfg.get("checkpoint")
    if file is None:
        return behaviour  # which says itself what it lacks
    if not actors:
        raise ValueError(
            f"checkpoint={file} is a model that acts, and this behaviour needs none: add behaviour=planner or "
            "behaviour=reflex, or leave checkpoint out"
        )
    checkpoint = chosen_checkpoint(cfg, seed, "collect")
    model, task = checkpoint.model, goal_tasks.of_model(checkpoint, cfg.observation.distractor)
    content = checkpoint_file(file, cfg.task.name, cfg.observation.sensors).read_bytes()
    words = {"model": Path(str(file)).name, "weights": hashlib.sha256(content).hexdigest()[:12]}
    policies: dict[str, Callable[[], ModelPolicy | ReactivePolicy]] = {
        "planner": lambda: ModelPolicy(agent(cfg, model, task), seed),
        "reflex": lambda: reflex(model, goal_mask(task, model)),
    }
    pursuers: dict[str, Pursuer] = {name: ModelPursuer(policies[name](), task, model, words) for name in actors}
    return acted_by(behaviour, pursuers)


def ensure_data(cfg: DictConfig, seed: int) -> Source:
    """Return the training dataset: the given one or several, or the recipe's, which is collected if missing.

    Raises:
      ValueError: the path holds a dataset of another recipe.
    """
    if cfg.data is not None:
        given = places(cfg.data)
        return given[0] if len(given) == 1 else given
    if cfg.task.name == CUSTOM:
        raise ValueError("task=custom learns from a robot's own logs: add data=FOLDER, as docs/own_logs.md says")
    path = Paths.of(cfg, seed).data
    ensure_episodes(cfg, seed, path, range(int(cfg.collection.episodes)))
    return path


def shards_folder(cfg: DictConfig, seed: int) -> Path:
    """Folder of the shards of the recipe's dataset, of no use once they are joined."""
    data = Paths.of(cfg, seed).data
    return data.with_name(f"{data.name}-shards")


def data_shards(cfg: DictConfig, seed: int, count: int) -> dict[Path, range]:
    """Shards of the recipe's dataset: the folder of each, with the numbers of its episodes.

    Args:
      cfg: the settings of the command.
      seed: of the data.
      count: of shards; fewer where there are fewer episodes.
    """
    episodes = int(cfg.collection.episodes)
    count = min(count, episodes)
    parts = [range(index * episodes // count, (index + 1) * episodes // count) for index in range(count)]
    return {shards_folder(cfg, seed) / f"{part.start}-{part.stop - 1}": part for part in parts}


def join_shards(cfg: DictConfig, seed: int, count: int) -> None:
    """Make the recipe's dataset, if it is missing, of its shards; those that are missing are collected here.

    Args:
      cfg: the settings of the command.
      seed: of the data.
      count: of shards.

    Raises:
      ValueError: a shard is of another recipe.
    """
    path, shards = Paths.of(cfg, seed).data, data_shards(cfg, seed, count)
    if path.exists():
        return
    for shard, numbers in shards.items():
        ensure_episodes(cfg, seed, shard, numbers)
    join(list(shards), path)


def ensure_episodes(cfg: DictConfig, seed: int, path: Path, numbers: range) -> None:
    """Collect episodes of the recipe into a dataset, if it is missing.

    Args:
      cfg: the settings of the command.
      seed: of the data.
      path: of the dataset.
      numbers: of the episodes.

    Raises:
      ValueError: the path holds a dataset of another recipe.
    """
    if not path.exists():
        collect_data(cfg, seed, path, numbers)
        return
    behaviour: Behaviour = make(cfg.behaviour, "behaviour")
    found = _metadata(path)
    expected = {
        "task": json.loads(json.dumps(goal_tasks.of(cfg).describe())),
        "behaviour": json.loads(json.dumps(behaviour.describe())),
        "seed": seed,
        "total_episodes": len(numbers),
        "total_steps": len(numbers) * int(cfg.collection.steps),
    }
    stored = {name: found.get(name) for name in expected} | {
        name: _parsed(found, name) for name in ("task", "behaviour")
    }
    # Fields missing from the dataset's task: older tasks did not describe them. Settings of a behaviour have defaults.
    was, now = differing(stored, expected, {"task": expected["task"], "behaviour": defaults_of(behaviour)})
    for name in was:
        raise ValueError(
            f"{path} was collected with {name}={was[name]}, and this recipe wants {now[name]}: remove it, or give this "
            "run another folder with runs=FOLDER"
        )
    logger.info("using the data in %s", path)


def require_trainable(cfg: DictConfig) -> None:
    """Check what would end a training only after its data were collected.

    Raises:
      ValueError: the task has no goals and is not defined by a robot's own logs, or early stopping or a writer of
        metrics does not fit.
      ImportError: a writer of metrics misses a package.
    """
    EarlyStop.of(cfg)
    writers(cfg)
    if cfg.task.name != CUSTOM:
        goal_tasks.make(cfg.task.name, "train")


def ensure_model(cfg: DictConfig, seed: int, path: Path | None = None, preview: Preview | None = None) -> Checkpoint:
    """Return the recipe's trained model: loaded if complete, otherwise trained (or training is resumed).

    Args:
      cfg: the settings of the command.
      seed: of data, weights and training.
      path: the model's file; by default under `cfg.runs`, where the data are always stored.
      preview: sees the model once while it is trained.

    Raises:
      ValueError: the path holds a model of another recipe.
    """
    path = path or Paths.of(cfg, seed).model
    if not path.exists():
        train_model(cfg, seed, ensure_data(cfg, seed), path, preview)
        return load_model(path)
    checkpoint = load_model(path)
    stored, expected = checkpoint.metadata.get("recipe", {}), recipe(cfg, seed)
    known = defaults(expected)
    was, now = differing(stored, expected, known)
    for name in was:
        raise ValueError(
            f"{path} was trained with {name}={was[name]}{unknown_clause(unknown(stored, expected, known))}, and this "
            f"recipe has {now[name]}: remove it, or give this run another folder with runs=FOLDER, or plan with it as "
            f"it is by checkpoint={path}"
        )
    logger.info("using the model in %s", path)
    return checkpoint


def chosen_checkpoint(cfg: DictConfig, seed: int, command: str = "plan") -> Checkpoint:
    """Return the model that the settings name, or the recipe's, which is trained if missing.

    Raises:
      ValueError: it was trained for another task, or for other sensors, actions or another control period.
    """
    if cfg.checkpoint is None:
        goal_tasks.make(cfg.task.name, command)
        return ensure_model(cfg, seed)
    checkpoint = load_model(checkpoint_file(cfg.checkpoint, cfg.task.name, cfg.observation.sensors))
    require_labels_learned(checkpoint, cfg.checkpoint)
    trained_for = robot_of(checkpoint)["task"]
    goal_tasks.require_simulator(str(trained_for), cfg.checkpoint, command)
    if trained_for != cfg.task.name:
        raise ValueError(
            f"{cfg.checkpoint} was trained for the task {trained_for}, and task={cfg.task.name} was asked for: "
            f"add task={trained_for}"
        )
    check_checkpoint(robot_of(checkpoint), goal_tasks.of_model(checkpoint).describe(), cfg.checkpoint)
    return checkpoint


def visited(task: envs.Task, data: Source, points: int = 20_000) -> np.ndarray:
    """Positions `[M, 2]` of the body in a dataset, thinned to at most `points`.

    Empty without simulator states, or where the task has no view from above.
    """
    states = load_given(data).states
    if states is None or not isinstance(task, PlanarView):
        return np.zeros((0, 2))
    return task.keypoints(states[:: max(1, len(states) // points)])[..., -1, :]


def _parsed(metadata: dict[str, Any], name: str) -> Any:
    """Parsed JSON value of a dataset's metadata, or the value unchanged if it is not JSON."""
    try:
        return json.loads(metadata.get(name, "{}"))
    except (ValueError, TypeError, RecursionError):
        return metadata.get(name)


def _metadata(path: Path) -> dict[str, Any]:
    for file in (path / "metadata.json", path / "data" / "metadata.json"):
        if file.is_file():
            try:
                return dict(json.loads(file.read_bytes()))
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(f"{file} is damaged ({error}): take an intact copy of the dataset") from error
    raise ValueError(f"{path} is not a Minari dataset: remove it, or give this run another folder with runs=FOLDER")
