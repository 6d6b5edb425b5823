"""The robot that a model was trained for, as the metadata of its file describe it."""

from __future__ import annotations

from typing import Any

from worldmodel.models.checkpoint import Checkpoint


def robot_of(checkpoint: Checkpoint, *needed: str) -> dict[str, Any]:
    """Return the description of the robot: `task` (its name), `action_low`, `action_high`, `control_period` and more.

    Raises:
      ValueError: `task` or one of the fields in `needed` is missing, as in a model saved from Python without it.
    """
    robot = checkpoint.metadata.get("task")
    if not isinstance(robot, dict):
        robot = {}
    if missing := [name for name in ("task", *needed) if name not in robot]:
        raise ValueError(
            f"the model's file does not describe its robot ({', '.join(missing)} missing): save it again with "
            "save_model(path, model, metadata={'task': {'task': NAME, 'action_low': [...], 'action_high': [...], "
            "'control_period': SECONDS}})"
        )
    return robot
