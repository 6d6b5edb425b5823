"""The simulated task that a command needs, or an error with the alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

import envs
from envs.mujoco_task import MujocoTask
from envs.vision.pictures import PIXELS
from worldmodel.models.checkpoint import Checkpoint

from ..shell.overrides import command_line
from .recipes import CUSTOM

GYMNASIUM = "goal/"  # in front of the id of a Gymnasium goal environment


def is_goal_task(name: str) -> bool:
    """Whether `name` is that of a task with goals which is simulated here: ours, a package's, or `goal/<id>`."""
    return name.startswith(GYMNASIUM) or name in envs.TASKS or name in envs.task_names()


def has_rewards(name: str) -> bool:
    """Whether `name` is that of a task with a reward: `dmc/<domain>-<task>` or `gym/<id>`."""
    return "/" in name and not name.startswith(GYMNASIUM)


def make(name: str, command: str) -> envs.Task:
    """The task with goals called `name`, for the command `jepa-mpc COMMAND`.

    Raises:
      ValueError: the task has rewards instead of goals, has no simulator, does not exist, or is no goal environment.
      ImportError: its package is not installed.
    """
    if has_rewards(name):
        example = command_line("train", {"method": "td", "task": name})
        raise ValueError(
            f"{name} has rewards and no goals: learn from them with `{example}`, and measure the result with "
            f"`{command_line('plan', {'task': name})}`"
        )
    if name == CUSTOM:
        learn = command_line("train", {"task": CUSTOM})
        raise ValueError(
            f"task={CUSTOM} has no simulator, which `jepa-mpc {command}` needs: train with `{learn} data=FOLDER`, and "
            "export the model for the robot with `jepa-mpc export checkpoint=FILE`"
        )
    return envs.make(name)


def observation_name(task: envs.Task) -> str:
    """Return what a task is observed by, as in result rows: `state`, or the names of its sensors."""
    if not any(len(sensor.shape) > 1 for sensor in task.sensors):
        return "state"
    names = [sensor.name for sensor in task.sensors if not sensor.name.startswith(PIXELS + "_")]
    return "_".join(names)


def of(cfg: DictConfig) -> Any:
    """The task of the settings, observed by their sensors.

    Raises:
      ValueError: the task does not have these sensors.
    """
    return _seen(
        envs.make(cfg.task.name), cfg.observation.sensors, int(cfg.observation.size), cfg.observation.distractor
    )


def of_model(checkpoint: Checkpoint, distractor: str | None = None) -> Any:
    """The task that a model was trained for, observed by its sensors.

    Args:
      checkpoint: of the model.
      distractor: in pictures; None: that of the training.
    """
    trained = checkpoint.metadata.get("recipe", {}).get("observation", {})
    name, sensors = str(checkpoint.metadata["task"]["task"]), checkpoint.model.observation.sensors
    return observed(name, sensors, distractor or trained.get("distractor"))


def observed(name: str, sensors: Sequence[Any], distractor: str | None = None) -> Any:
    """The task called `name`, observed by sensors with these names and shapes, such as those of a robot's contract."""
    task = envs.make(name)
    if not isinstance(task, MujocoTask):
        return task
    names = [sensor.name for sensor in sensors if not sensor.name.startswith(PIXELS + "_")]
    if names == [sensor.name for sensor in task.sensors]:
        return task
    return _seen(
        task, names, max((sensor.shape[0] for sensor in sensors if not sensor.is_vector), default=1), distractor
    )


def chosen_sensors(task: envs.Task) -> tuple[tuple[str, ...], int]:
    """Return the names and the size of pictures that make `task.see` choose the sensors of a task; none without any."""
    pictures = [sensor for sensor in task.sensors if len(sensor.shape) > 1]
    if not pictures:
        return (), 1
    names = tuple(sensor.name for sensor in task.sensors if not sensor.name.startswith(PIXELS + "_"))
    return names, pictures[0].shape[0]


def _seen(task: envs.Task, sensors: Any, size: int, distractor: str | None) -> Any:
    if sensors is None:
        return task
    if not isinstance(task, MujocoTask):
        own = ", ".join(sensor.name for sensor in task.sensors)
        raise ValueError(f"{task.name} is observed by {own} alone: leave out observation={','.join(sensors)}")
    task.see([str(name) for name in sensors], size, distractor)
    return task


def require_simulator(trained_for: str, checkpoint: str | Path, command: str) -> None:
    """Raise ValueError, with the alternatives, for a model of a robot or data without a simulator here."""
    if is_goal_task(trained_for):
        return
    export = command_line("export", {"checkpoint": str(checkpoint)})
    judge = command_line("diagnose", {"task": CUSTOM, "checkpoint": str(checkpoint)})
    raise ValueError(
        f"{checkpoint} learned from data of {trained_for}, which no simulator here steps, so `jepa-mpc {command}` "
        f"cannot run it: make a bundle for the robot with `{export}`, judge it with `{judge} data=FOLDER`, or control "
        f"with it from Python by experiments.build.controller({str(checkpoint)!r})"
    )
