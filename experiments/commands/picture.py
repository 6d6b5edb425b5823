"""`jepa-mpc picture`: what a task's cameras see at a goal, as PNG files that `plan` and `drive` take as their goal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from envs.mujoco_task import MujocoTask
from envs.streams import episode_rng
from envs.vision.pictures import PIXELS

from ..build import goal_tasks
from ..build.recipes import file_name
from ..pictures.goal import coordinates
from ..pictures.png import write_png
from ..shell.overrides import override, shell_word
from ..shell.say import say


def run(cfg: DictConfig) -> dict[str, Path]:
    """Write one file for each camera, and print the settings that take them; return the files by camera.

    Raises:
      ValueError: the task has no cameras, or the coordinates are not those of a goal.
    """
    task: Any = goal_tasks.make(cfg.task.name, "picture")
    if not isinstance(task, MujocoTask):
        raise ValueError(f"{cfg.task.name} has no MuJoCo model, and so no cameras to draw its goal with")
    task.see([PIXELS], int(cfg.observation.size), cfg.observation.distractor)
    if cfg.goal_at is None:
        _, goal = task.sample_pair(episode_rng(int(cfg.seed), "evaluate", 0))
    else:
        goal = coordinates(task, cfg.goal_at)
    seen: Any = task.goal_observation(np.asarray(goal))
    cameras = [sensor.name for sensor in task.sensors]
    out = Path(cfg.out) if cfg.out else Path(cfg.runs) / f"{file_name(cfg.task.name)}-goal.png"
    files = {name: out if len(cameras) == 1 else out.with_stem(f"{out.stem}-{name}") for name in cameras}
    for name, file in files.items():
        write_png(file, seen[name])
    task.close()
    at = f"goal_at=[{','.join(f'{value:.4g}' for value in goal)}]"
    given = override("goal", out) if len(files) == 1 else f"goal={{{', '.join(f'{k}: {v}' for k, v in files.items())}}}"
    say(f"goal of {task.name}: {shell_word(given)} {shell_word(at)}")
    return files
