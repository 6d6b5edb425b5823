"""Collect and train, as stages that can be asked for: what is complete and of the same recipe is used again.

Files lie beside each other under `runs`, named by task and seed. A stage that was interrupted goes on where it stopped,
or starts anew where nothing had been finished; a file of another recipe is never overwritten, but named.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

import envs
from envs.behaviours import Behaviour
from envs.collect import Collected, collect
from worldmodel.checkpoint import Checkpoint, load_model

from .build import make
from .progress import progress_bar
from .recipes import CUSTOM, Paths, recipe
from .training_run import train_model

logger = logging.getLogger(__name__)


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
    found = _metadata(path)
    task = envs.make(cfg.task.name).describe()
    if "observation" not in json.loads(found.get("task", "{}")):  # a dataset from before tasks described their sensors
        task.pop("observation", None)
    wanted = {
        "task": json.dumps(task),
        "behaviour": json.dumps(behaviour.describe()),
        "seed": seed,
        "total_episodes": int(cfg.collection.episodes),
        "total_steps": int(cfg.collection.episodes) * int(cfg.collection.steps),
    }
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
        train_model(cfg, seed, ensure_data(cfg, seed), path)
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


def _metadata(path: Path) -> dict[str, Any]:
    for file in (path / "metadata.json", path / "data" / "metadata.json"):
        if file.is_file():
            try:
                return dict(json.loads(file.read_bytes()))
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(f"{file} is damaged ({error}): take an intact copy of the dataset") from error
    raise ValueError(f"{path} is not a Minari dataset: remove it, or give this run another folder with runs=FOLDER")
