"""A recipe on its data, ready to train: checks, architecture, objective, and what is known of each moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from omegaconf import DictConfig

import envs
from envs.task import HasContact, HasReadout, PlanarView
from worldmodel.data.episodes import EpisodeData
from worldmodel.devices import Devices
from worldmodel.models.checkpoint import load_model
from worldmodel.models.freeze import FrozenModel
from worldmodel.models.goal_model import ModelConfig
from worldmodel.nets.encoders.build import sized
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.landmarks import check_landmarks
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer
from worldmodel.training.video import VideoConfig

from ..build import fill, goal_tasks
from ..build.published import checkpoint_file
from ..build.recipes import CUSTOM, VIDEO, settings
from ..build.robots import robot_of
from ..evaluation.moments import asked_of
from .data_checks import check_data, check_moves, check_range, check_task
from .given_data import describe_logs
from .labels import warn_of_no_labels

OBJECTIVES: dict[str, type[JepaConfig | VideoConfig]] = {"jepa": JepaConfig, VIDEO: VideoConfig}  # by method


@dataclass(frozen=True)
class Prepared:
    """A recipe on its data, ready to train."""

    robot: dict[str, Any]  # description of the task
    model: ModelConfig
    objective: JepaConfig | VideoConfig
    trainer: Trainer


def prepare(cfg: DictConfig, seed: int, data: EpisodeData, source: Path | str) -> Prepared:
    """Check the data and build the recipe's trainer on them.

    Args:
      cfg: the recipe.
      seed: of the weights and the training.
      data: the episodes.
      source: where they are from, for messages.

    Raises:
      ValueError: the data do not fit the task or the recipe.
    """
    robot, targets = _described(cfg, data, source)
    check_range(data, source)
    check_moves(data, source)
    warn_of_no_labels(data, source)
    model = _architecture(cfg, data, targets)
    check_landmarks(model, data.rows)
    objective = fill(OBJECTIVES[str(cfg.method)], settings(cfg.objective), "objective")
    if objective.asked_goals and cfg.task.name != CUSTOM:
        objective = replace(objective, asked=asked_of(goal_tasks.of(cfg)))
    training = fill(TrainingConfig, {**settings(cfg.training), "seed": seed}, "training")
    contact = _contact(cfg, data, source) if training.contact_share else None
    devices = Devices.of(cfg.get("devices", 1))
    trainer = Trainer.of(data, model, objective, training, targets, contact, _start(cfg), devices)
    return Prepared(robot, model, objective, trainer)


def _start(cfg: DictConfig) -> FrozenModel | None:
    """Return the model that the training begins with; None: a fresh one."""
    if cfg.start_from is None:
        return None
    path = checkpoint_file(cfg.start_from, cfg.task.name, cfg.observation.sensors)
    known = load_model(path)
    if (trained_for := robot_of(known)["task"]) != cfg.task.name:
        raise ValueError(
            f"start_from={path} was trained for the task {trained_for}, and this is task={cfg.task.name}: take a model "
            "of this task"
        )
    return known.model


def _contact(cfg: DictConfig, data: EpisodeData, source: Path | str) -> Bool[ndarray, "M"]:
    """Return whether the robot touches the object in each row of the data."""
    task = None if cfg.task.name == CUSTOM else goal_tasks.of(cfg)
    if not isinstance(task, HasContact):
        raise ValueError(
            f"training.contact_share draws windows with contact, and {cfg.task.name} has no sensor of contact, as "
            "push_t, fetch_push and cube_single have: leave it out"
        )
    if data.states is None:
        raise ValueError(
            f"training.contact_share sees contact in the simulator states, and {source} has none: leave it out, or "
            "collect data with `jepa-mpc collect`"
        )
    return task.touching(data.states)


def _described(cfg: DictConfig, data: EpisodeData, source: Path | str) -> tuple[dict[str, Any], ndarray | None]:
    """Description of the task, and the probe's targets if there are any."""
    if cfg.task.name == CUSTOM:
        # A robot's logs contain its positions; other data have no known targets.
        return describe_logs(cfg, data, source), data.states if data.metadata.get("logs") else None
    task = goal_tasks.of(cfg)
    robot = task.describe()
    check_task(data, task.name, source)
    check_data(data, robot, source, owner=task.name)
    return robot, None if data.states is None else probe_targets(task, data.states)


def _architecture(cfg: DictConfig, data: EpisodeData, targets: ndarray | None) -> ModelConfig:
    sizes = {
        "observation": sized(data.spec, cfg.model.pictures, cfg.observation.features),
        "action_size": data.actions.shape[1],
        "probe_size": 0 if targets is None else targets.shape[1],
    }
    made = fill(ModelConfig, {**sizes, **settings(cfg.model)}, "model")
    return made if data.labelled_steps else replace(made, policy=False)  # nothing would teach it


def probe_targets(task: envs.Task, states: ndarray) -> ndarray | None:
    """Probe targets, float32: the flat keypoints `[M, 2 J]`, or the task's readout `[M, Q]`.

    None for a task with neither: its models have no probe.
    """
    if isinstance(task, PlanarView):
        return task.keypoints(states).reshape(len(states), -1).astype(np.float32)
    return task.readout(states).astype(np.float32) if isinstance(task, HasReadout) else None
