"""The goal of a command line: a picture from a file for each camera, coordinates, or both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf

from envs import Task
from worldmodel.observation import ObservationSpec

from ..shell.did_you_mean import did_you_mean
from .memory import Memory, memory_file
from .png import read_png

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Target:
    """One goal for all episodes.

    Args:
      observation: readings there by sensor, from files; None: the simulator's at the coordinates.
      at: coordinates `[G]` of the task, by which success is judged; None: nobody knows them.
    """

    observation: dict[str, ndarray] | None
    at: Float[ndarray, "G"] | None

    @property
    def pictures(self) -> dict[str, ndarray]:
        """Pictures of the goal by camera; none where it is the simulator's."""
        return {name: each for name, each in (self.observation or {}).items() if each.ndim == 3}

    @classmethod
    def of(cls, cfg: DictConfig, task: Task, spec: ObservationSpec, memory: Memory | None, model: Any) -> Target | None:
        """Read the settings `goal` and `goal_at`; None where neither is given.

        Args:
          cfg: of the command.
          task: that the model was trained for.
          spec: sensors of the model.
          memory: of the model; without it, pictures of other cameras are not recognised.
          model: path of the model, for messages.

        Raises:
          FileNotFoundError: no picture there.
          ValueError: a file, a camera or coordinates that do not fit.
        """
        if cfg.goal is None and cfg.goal_at is None:
            return None
        given: Any = OmegaConf.to_container(cfg.goal) if OmegaConf.is_config(cfg.goal) else cfg.goal
        observation = None if given is None else read_goal(given, spec, memory, model)
        return cls(observation, None if cfg.goal_at is None else coordinates(task, cfg.goal_at))


def coordinates(task: Task, values: Any) -> Float[ndarray, "G"]:
    """Return the coordinates of a goal of the task.

    Raises:
      ValueError: another number of them than a goal has, or a goal that the task refuses.
    """
    found = np.asarray([float(value) for value in values], np.float64)
    if found.shape != (task.goal_size,):
        example = ",".join(f"{value:.2f}" for value in task.sample_goal(np.random.default_rng(0)))
        raise ValueError(
            f"goal_at has {len(found)} numbers, but a goal of {task.name} has {task.goal_size}: give as many, as in "
            f"goal_at=[{example}]"
        )
    task.check_goal(found)
    return found


def read_goal(
    given: str | Mapping[str, Any], spec: ObservationSpec, memory: Memory | None, model: Any
) -> dict[str, ndarray]:
    """Read a goal from files.

    Args:
      given: path of the picture of the only camera, or by sensor: a path for each camera, and numbers for vectors,
        which are free where they are left out.
      spec: sensors of the model.
      memory: of the model; None: the cameras are not compared.
      model: path of the model, for messages.

    Raises:
      FileNotFoundError: no picture there.
      ValueError: no camera, an unknown or a missing one, or a picture that cannot be of it.
    """
    cameras = {sensor.name: sensor for sensor in spec.pictures}
    names = ", ".join(sensor.name for sensor in spec.sensors)
    if not cameras:
        raise ValueError(
            f"goal={given} is a picture, but {model} is observed by {names}: train with observation=pixels, or give "
            "the goal's coordinates with goal_at=[...]"
        )
    every = f"goal={{{', '.join(f'{name}: FILE.png' for name in cameras)}}}"
    if not isinstance(given, Mapping):
        if len(cameras) > 1:
            raise ValueError(
                f"goal={given} is one picture, but the model has the cameras {', '.join(cameras)}: {every}"
            )
        given = {next(iter(cameras)): given}
    if unknown := [name for name in given if name not in {sensor.name for sensor in spec.sensors}]:
        raise ValueError(
            f"goal has the sensor {unknown[0]!r}, but the model has {names}{did_you_mean(str(unknown[0]), spec.slices)}"
        )
    if missing := [name for name in cameras if name not in given]:
        raise ValueError(f"goal lacks a picture of the camera {missing[0]}: write {every}")
    found = {}
    for name, value in given.items():
        if name not in cameras:
            found[name] = np.asarray(value, np.float32)
            continue
        if not isinstance(value, str):
            raise ValueError(f"goal.{name} must be the path of a PNG file; got {value}")
        height, width = cameras[name].shape[:2]
        found[name] = read_png(Path(value).expanduser(), (height, width))
        if memory is None:
            logger.warning(
                "%s has no %s beside it, which training writes: nobody checks that %s is a picture of the camera %s",
                model,
                memory_file(model).name,
                value,
                name,
            )
        else:
            check_camera(found[name], name, memory, value)
    return found


def check_camera(picture: UInt8[ndarray, "h w 3"], camera: str, memory: Memory, file: Any) -> None:
    """Raise ValueError if a picture cannot be of a camera; the message names what it probably is.

    Args:
      picture: from a file.
      camera: that it should be of.
      memory: of the model.
      file: path of the picture, for the message.
    """
    known = memory.appearances[camera]
    if known.fits(picture):
        return
    if known.fits(picture[..., ::-1]):
        raise ValueError(
            f"{file} has red and blue exchanged, as cv2.imwrite leaves them in an RGB array: convert it with "
            "cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) before writing it"
        )
    if others := [name for name, each in memory.appearances.items() if each.fits(picture)]:
        raise ValueError(f"{file} is a picture of the camera {others[0]}, not of {camera}: exchange the files")
    raise ValueError(
        f"{file} is not a picture of the camera {camera}: {known.strange(picture):.0%} of its pixels show what the "
        f"training data never show there, and up to {known.limit:.0%} are usual: take it with the camera of the "
        "training, in the same place and light"
    )
