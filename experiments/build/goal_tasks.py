"""The simulated task that a command needs, or an error with the alternatives."""

from __future__ import annotations

from pathlib import Path

import envs

from ..shell.overrides import command_line
from .recipes import CUSTOM

GYMNASIUM = "goal/"  # in front of the id of a Gymnasium goal environment


def is_goal_task(name: str) -> bool:
    """Whether `name` is that of a task with goals which is simulated here: one of ours, or `goal/<id>`."""
    return name in envs.TASKS or name.startswith(GYMNASIUM)


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
