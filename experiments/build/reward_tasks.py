"""The reward task of the settings: its action repeat and its sensors."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from envs.registry import make_reward_task, usual_action_repeat
from envs.reward_task import RewardTask
from worldmodel.observation import ObservationSpec


def action_repeat(cfg: DictConfig) -> int:
    """Control steps in one decision: those of the settings, or the usual number for the task."""
    repeat = cfg.online.action_repeat
    return usual_action_repeat(str(cfg.task.name)) if repeat is None else int(repeat)


def of(cfg: DictConfig, control_period: float | None = None) -> RewardTask:
    """The task of the settings, observed by their sensors.

    Args:
      cfg: of the command.
      control_period: see `make_reward_task`.

    Raises:
      ValueError: the task does not have these sensors, or a distractor, which only tasks with goals have.
    """
    if cfg.observation.distractor is not None:
        raise ValueError(
            f"observation.distractor={cfg.observation.distractor} is for tasks with goals, and {cfg.task.name} has "
            "rewards: leave it out"
        )
    task = make_reward_task(str(cfg.task.name), action_repeat(cfg), control_period)
    return seen(task, cfg.observation.sensors, int(cfg.observation.size))


def seen(task: RewardTask, sensors: Sequence[str] | None, size: int) -> RewardTask:
    """The task, observed by other sensors.

    Args:
      task: changed.
      sensors: their names; None: the task's own vector.
      size: of pictures.

    Raises:
      ValueError: the task does not have these sensors; it is closed.
    """
    if sensors is not None:
        try:
            task.see([str(name) for name in sensors], size)
        except ValueError:
            task.close()
            raise
    return task


def seen_by(task: RewardTask, spec: ObservationSpec) -> RewardTask:
    """The task, observed by the sensors of a model."""
    names = [sensor.name for sensor in spec.sensors]
    if names == [sensor.name for sensor in task.sensors]:
        return task
    return seen(task, names, max((sensor.shape[0] for sensor in spec.pictures), default=1))
