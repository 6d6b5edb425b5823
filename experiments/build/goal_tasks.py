"""The simulated task that a command needs; where there is none, what can be done instead."""

from __future__ import annotations

from pathlib import Path

import envs

from ..shell.overrides import command_line
from .recipes import CUSTOM


def make(name: str, command: str) -> envs.Task:
    """The task with goals called `name`, for the command `jepa-mpc COMMAND`.

    Raises:
      ValueError: it has rewards and no goals, it has no simulator, or there is none of this name.
    """
    if "/" in name:
        example = command_line("train", {"method": "td", "task": name})
        raise ValueError(
            f"{name} has rewards and no goals: learn from them with `{example}`, and measure that with "
            f"`{command_line('plan', {'task': name})}`"
        )
    if name == CUSTOM:
        learn = command_line("train", {"task": CUSTOM})
        raise ValueError(
            f"task={CUSTOM} has no simulator, which `jepa-mpc {command}` needs: learn with `{learn} data=FOLDER`, and "
            "make a bundle for the robot of the model with `jepa-mpc export checkpoint=FILE`"
        )
    return envs.make(name)


def require_simulator(trained_for: str, checkpoint: str | Path, command: str) -> None:
    """Raise ValueError, with what can be done instead, for a model of a robot or data that no simulator here steps."""
    if trained_for in envs.TASKS:
        return
    export = command_line("export", {"checkpoint": str(checkpoint)})
    judge = command_line("diagnose", {"task": CUSTOM, "checkpoint": str(checkpoint)})
    raise ValueError(
        f"{checkpoint} learned from data of {trained_for}, which no simulator here steps, so `jepa-mpc {command}` "
        f"cannot run it: make a bundle for the robot with `{export}`, judge it with `{judge} data=FOLDER`, or control "
        f"with it from Python by experiments.build.controller({str(checkpoint)!r})"
    )
