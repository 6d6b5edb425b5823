"""Data that a user gives, with the sensors of the settings or of a model, and videos decoded behind a progress bar."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from worldmodel.data import dataset
from worldmodel.data.episodes import EpisodeData
from worldmodel.data.joined import joined
from worldmodel.data.video.recorded_pictures import PIXELS
from worldmodel.models.checkpoint import Checkpoint

from ..build.recipes import CUSTOM, VIDEO, Source, named, places
from ..build.robots import robot_of
from ..shell.progress import progress_bar
from .data_checks import check_data, description

logger = logging.getLogger(__name__)


def load_for_training(cfg: DictConfig, source: Source, seed: int) -> EpisodeData:
    """Read the data of a recipe, and its demonstrations. Of a user's own, `observation` chooses the sensors, if any.

    Args:
      cfg: the recipe.
      source: the dataset, or several.
      seed: of the training, which decides what episodes keep their actions, where `labels` hides some.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: see `worldmodel.data.dataset.load`; a sensor that the data lack, or actions that the method needs.
    """
    shown = places(cfg.demonstrations)
    every = [*places(source), *shown]
    data = _load_of(cfg, every, demonstrations=len(shown))
    return _with_sensors(cfg, with_labels(cfg, data, named(every), seed), named(every))


def with_labels(cfg: DictConfig, data: EpisodeData, source: Path | str, seed: int) -> EpisodeData:
    """Return the data as the method can use them: actions hidden, or episodes without actions left out.

    Args:
      cfg: the recipe.
      data: the episodes.
      source: where they are from, for messages.
      seed: decides what episodes keep their actions.

    Raises:
      ValueError: actions are missing that the method needs.
    """
    require_labels(cfg, data, source)
    if cfg.labels < 1:
        data = data.with_labels(float(cfg.labels), seed)
    return data if cfg.method == VIDEO else data.labelled_episodes()


def require_labels(cfg: DictConfig, data: EpisodeData, source: Path | str) -> None:
    """Raise ValueError where actions are missing, and the method cannot learn without them."""
    if cfg.method == VIDEO or data.is_labelled:
        return
    first = next(each for each in range(data.episodes) if not data.labelled[data.of_episode(each)].all())
    missing = data.steps - data.labelled_steps
    raise ValueError(
        f"the actions of {missing:,} of {data.steps:,} steps in {source} are missing, first in {data.name(first)}, and "
        f"method={cfg.method} learns from actions: add method=video, which learns without "
        "them as well, or leave those episodes out"
    )


def _with_sensors(cfg: DictConfig, data: EpisodeData, source: Path | str) -> EpisodeData:
    if cfg.task.name != CUSTOM:
        return data
    known = [sensor.name for sensor in data.spec.sensors]
    words = ",".join(dict.fromkeys(PIXELS if _is_picture(name) else name for name in known))
    if cfg.observation.sensors is None:
        if data.spec.pictures:
            logger.warning(
                "the data in %s have pictures, and this recipe is that of vectors: choose the other one with "
                "observation=[%s]",
                source,
                words,
            )
        return data
    wanted: list[str] = []
    for each in cfg.observation.sensors:
        # `pixels` are the pictures of all cameras, as those of a task are.
        found = [name for name in known if name == each or (each == PIXELS and _is_picture(name))]
        if not found:
            raise ValueError(
                f"the data in {source} have no sensor {each!r}, only {', '.join(known)}: choose with "
                f"observation=[{words}], or some of these"
            )
        wanted += found
    return _chosen(data, wanted)


def load_for_model(checkpoint: Checkpoint, source: Source) -> EpisodeData:
    """Read data to judge or to calibrate a model with: its sensors, and pictures of its size.

    Sensors that the data lack are left to the checks of data and model.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: see `worldmodel.data.dataset.load`; or frames of another shape than those of the training.
    """
    spec = checkpoint.model.observation
    data = _load(source, spec.pictures[0].shape[0] if spec.pictures else 64)
    if not data.is_labelled:
        whole = data.labelled_episodes()
        logger.warning(
            "%d of %d episodes in %s lack actions and were left out: a model is judged by what actions do",
            data.episodes - whole.episodes,
            data.episodes,
            named(source),
        )
        data = whole
    names, known = [sensor.name for sensor in spec.sensors], [sensor.name for sensor in data.spec.sensors]
    if names != known and set(names) <= set(known):
        data = _chosen(data, names)
    _check_cameras(description(data).get("cameras") or {}, robot_of(checkpoint).get("cameras") or {}, named(source))
    return data


def describe_logs(cfg: DictConfig, data: EpisodeData, source: Path | str) -> dict[str, Any]:
    """Task description for data without a task: name, control period, bounds, sizes, labels.

    Raises:
      ValueError: the control period is unknown, or the bounds of the actions are not finite.
    """
    known = description(data)
    configured, recorded = cfg.get("control_period"), known.get("control_period")
    if configured and recorded and not math.isclose(configured, recorded, rel_tol=1e-6):
        logger.warning(
            "the data in %s say %g ms a step, and control_period=%g counts instead; leave it out if they are right",
            source,
            1e3 * recorded,
            configured,
        )
    period = configured or recorded
    if period is None:
        raise ValueError(f"the data in {source} do not say how often actions are taken: add control_period=SECONDS")
    if not (np.isfinite(data.action_low).all() and np.isfinite(data.action_high).all()):
        raise ValueError(f"the data in {source} have actions without finite bounds: store them with the actuator's own")
    return {
        "task": CUSTOM,
        "action_low": data.action_low.tolist(),
        "action_high": data.action_high.tolist(),
        "action_size": data.actions.shape[1],
        "observation_size": sum(sensor.size for sensor in data.spec.sensors),
        **known,
        "control_period": float(period),
    }


def _check_cameras(found: dict[str, Any], trained: dict[str, Any], source: Path | str) -> None:
    """Raise ValueError where pictures are cut out of frames of another shape: they show another part of the scene."""
    for sensor in sorted(found.keys() & trained.keys()):
        shapes = [f"{each['width']} × {each['height']}" for each in (found[sensor], trained[sensor])]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the dataset {source} has {sensor} from frames of {shapes[0]} pixels, and the model learned from "
                f"{shapes[1]}: record with one resolution of the camera, or train again"
            )


def load_to_check(cfg: DictConfig, source: Source) -> EpisodeData:
    """Read data as `load_for_training` does, whatever actions are missing.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: see `worldmodel.data.dataset.load`; or a sensor that the data lack.
    """
    return _with_sensors(cfg, _load_of(cfg, source, clips=True), named(source))


def load_given(source: Source) -> EpisodeData:
    """Read one or several datasets with all of their sensors."""
    return _load(source, 64)


def _load_of(cfg: DictConfig, source: Source, clips: bool | None = None, demonstrations: int = 0) -> EpisodeData:
    clips = cfg.method == VIDEO if clips is None else clips
    return _load(source, int(cfg.observation.size), clips, cfg.get("control_period"), demonstrations)


def _load(
    source: Source,
    picture_size: int,
    clips: bool = False,
    control_period: float | None = None,
    demonstrations: int = 0,
) -> EpisodeData:
    """Read datasets as one, of which the last so many are demonstrations."""
    names = places(source)
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"the dataset {name} is given twice: name it once")
    parts = [_read(name, picture_size, clips, control_period) for name in names]
    if len(parts) == 1:
        return parts[0]
    for part, name in zip(parts[1:], names[1:], strict=True):
        _check_alike(parts[0], part, names[0], name)
    data = joined(parts, names, range(len(parts) - demonstrations, len(parts)))
    lacking = [name for part, name in zip(parts, names, strict=True) if part.states is None]
    if 0 < len(lacking) < len(parts):
        logger.warning(
            "%s holds no simulator states, so those of the other data are not used: the model gets no probe",
            named(lacking),
        )
    return data


def _check_alike(first: EpisodeData, part: EpisodeData, owner: str, name: str) -> None:
    """Raise ValueError where two datasets are of different robots."""
    known, other = description(first), description(part)
    if (task := known.get("task", "")) != (found := other.get("task", task)):
        raise ValueError(
            f"the dataset {name} is of the task {found}, and {owner} of {task}: a model learns from data of one task"
        )
    bounds = {"action_low": first.action_low.tolist(), "action_high": first.action_high.tolist()}
    robot = {**known, **bounds, "action_size": first.actions.shape[1]}
    robot.pop("observation_size", None)  # further sensors are left out
    check_data(part, robot, name, owner=owner)


def _read(name: str, picture_size: int, clips: bool, control_period: float | None) -> EpisodeData:
    with ExitStack() as stack:
        bars = list[Callable[[int, int], None]]()

        def show(done: int, total: int) -> None:
            if not bars:  # only where videos are decoded
                bars.append(stack.enter_context(progress_bar("read videos", total)))
            bars[0](done, total)

        return dataset.load(
            name, picture_size=picture_size, on_progress=show, clips=clips, control_period=control_period
        )


def _chosen(data: EpisodeData, names: Sequence[str]) -> EpisodeData:
    """Return the data with these sensors, and their description without the others."""
    chosen = data.with_sensors(names)
    try:
        described = json.loads(data.metadata["task"])
        described["observation_size"] = sum(sensor.size for sensor in chosen.spec.sensors)
    except (KeyError, TypeError, ValueError):  # data from another program
        return chosen
    if not chosen.spec.vectors:
        described |= {"sensors": [], "sensor_units": []}
    if isinstance(cameras := described.get("cameras"), dict):
        described["cameras"] = {name: each for name, each in cameras.items() if name in names}
    return replace(chosen, metadata=data.metadata | {"task": json.dumps(described)})


def _is_picture(name: str) -> bool:
    return name == PIXELS or name.startswith(f"{PIXELS}_")
