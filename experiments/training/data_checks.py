"""Checks that data, checkpoint and task match, and that the data are usable; each error is one sentence.

The description of a task or a robot (`describe`) is stored with every dataset and every model; foreign data may have
none, and are then checked by their sizes alone.
"""

from __future__ import annotations

import json
import logging
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from worldmodel.data.episodes import EpisodeData
from worldmodel.data.logs import WORDS, are_words, is_period, out_of_bounds
from worldmodel.moments import Moments

logger = logging.getLogger(__name__)

Description = Mapping[str, Any]

LARGEST = 1e15  # squares of larger values overflow float32
_COMPARED = 256  # pictures, spread over the data, that stand for all
FAR = 100.0  # times the range of 98 % of the data: no working sensor reads that

# The fields read from a description, and the form that each must have.
_VALID: dict[str, Callable[[Any], bool]] = {"control_period": is_period, **dict.fromkeys(WORDS, are_words)}


def description(data: EpisodeData) -> dict[str, Any]:
    """Description of the robot stored with the data, without malformed fields; empty for foreign data."""
    try:
        stored = json.loads(data.metadata.get("task", "{}"))
    except (TypeError, ValueError):  # foreign metadata under the same name
        return {}
    if not isinstance(stored, dict):
        return {}
    return {name: value for name, value in stored.items() if name not in _VALID or _VALID[name](value)}


def check_task(data: EpisodeData, task: str, source: Path | str) -> None:
    """Raise ValueError if the data are recorded as those of another task."""
    name = description(data).get("task", task)
    if name != task:
        raise ValueError(f"the dataset {source} is of the task {name}, not of {task}: add task={name}")


def check_data(data: EpisodeData, robot: Description, source: Path | str, owner: str) -> None:
    """Raise ValueError unless the data match the robot described by `owner` (a task, a checkpoint).

    Compared are the numbers, names and units of sensors and actuators, the actuators' bounds, and the control period.
    """
    found = {
        **description(data),
        "observation_size": _numbers(data),
        "action_size": data.actions.shape[1],
        "action_low": data.action_low.tolist(),
        "action_high": data.action_high.tolist(),
    }
    fix = "give data of the same robot, or choose another model or task"
    _compare(found, robot, f"the dataset {source}", owner, fix)


def check_rewards(data: EpisodeData, robot: Description, source: Path | str, rewards_count: bool = True) -> None:
    """Raise ValueError unless the data are usable for learning from rewards; warn of suspicious values.

    Args:
      data: loaded with their rewards.
      robot: description of the reward task.
      source: origin of the data, for messages.
      rewards_count: whether rewards are learned; otherwise data of another task of the same robot are valid, too.
    """
    name = str(robot["task"])
    of = description(data).get("task") or _environment(data)
    if of is not None and of != name and rewards_count:
        raise ValueError(
            f"the dataset {source} is of {of}, not of {name}, where other things happen and are rewarded: give data of "
            f"{name}, or leave online.data out"
        )
    check_data(data, robot, source, owner=name)
    unbounded = ~np.isfinite(data.action_low) | ~np.isfinite(data.action_high)
    low, high = (np.where(unbounded, robot[key], getattr(data, key)) for key in ("action_low", "action_high"))
    check_range(replace(data, action_low=low.astype(np.float32), action_high=high.astype(np.float32)), source)
    check_moves(data, source)


def _environment(data: EpisodeData) -> str | None:
    """Name of the reward task for the Gymnasium environment that a Minari dataset was recorded in."""
    try:
        env_id = json.loads(data.metadata["env_spec"])["id"]
    except (KeyError, TypeError, ValueError):
        return None
    return f"gym/{env_id}" if isinstance(env_id, str) else None


def check_checkpoint(trained_for: Description, task: Description, path: Path | str) -> None:
    """Raise ValueError unless a checkpoint trained for one description can plan in another."""
    fix = "choose the task that it was trained for, or train again"
    _compare(trained_for, task, f"the model {path}", str(task["task"]), fix)


def _compare(found: Description, expected: Description, what: str, owner: str, fix: str) -> None:
    for key, noun in (("observation_size", "observations"), ("action_size", "actions")):
        size, expected_size = found.get(key), expected.get(key)
        if None not in (size, expected_size) and size != expected_size:
            raise ValueError(f"{what} has {noun} of {size} numbers, and {owner} has {expected_size}: {fix}")
    period, expected_period = found.get("control_period"), expected.get("control_period")
    if period is not None and expected_period is not None and not math.isclose(period, expected_period, rel_tol=1e-6):
        raise ValueError(
            f"{what} has a control period of {1e3 * period:g} ms, and {owner} has {1e3 * expected_period:g} ms: {fix}"
        )
    for key in WORDS:
        words = zip(found.get(key) or [], expected.get(key) or [], strict=False)
        for index, (word, expected_word) in enumerate(words):
            if word != expected_word:
                raise ValueError(f"{what} has {word} as {key}[{index}], and {owner} has {expected_word}: {fix}")
    low, high = expected.get("action_low") or [], expected.get("action_high") or []
    for key in ("action_low", "action_high"):
        bounds = zip(found.get(key) or [], expected.get(key) or [], low, high, strict=False)
        for index, (bound, expected_bound, *ends) in enumerate(bounds):
            # Relative to the larger one of the two ends: one of them is often 0, and any unit is possible.
            slack = 1e-4 * max((abs(end) for end in ends if math.isfinite(end)), default=0.0)
            if math.isfinite(bound) and not math.isclose(bound, expected_bound, rel_tol=1e-4, abs_tol=slack):
                raise ValueError(f"{what} has {key}[{index}] at {bound:g}, and {owner} at {expected_bound:g}: {fix}")


def check_moves(data: EpisodeData, source: Path | str) -> None:
    """Warn of sensors and actuators that never change in any episode, and of cameras that show a still picture.

    Raises:
      ValueError: all sensors or all actuators are constant; nothing can be learned from that.
    """
    taken = _taken(data)
    columns = [*_sensed(data), *([_acted(data, taken)] if len(taken) else [])]  # of videos no action is known
    frozen = [sensor.name for sensor in data.spec.pictures if _shows_one_picture(data.readings[sensor.name])]
    moving = len(frozen) < len(data.spec.pictures)
    for noun in ("sensor", "actuator"):
        known = [each.still.all() for each in columns if each.noun == noun]
        if all(known) and not (noun == "sensor" and moving) and not (noun == "actuator" and not known):
            raise ValueError(
                f"the data in {source} stand still: no {noun} deviates by more than rounding in any episode, and "
                "nothing can be learned from that; check the logging"
            )
    for name in frozen:
        logger.warning(
            "the camera %s shows the same picture all the time in %s and tells the model nothing; leave it out, or "
            "check its recording",
            name,
            source,
        )
    for each in columns:
        for index in np.flatnonzero(each.still).tolist():
            logger.warning(
                "%s %s never moves in %s (it deviates by no more than rounding) and tells the model nothing; leave it "
                "out, or check its logging",
                each.noun,
                each.name(index),
                source,
            )


def check_range(data: EpisodeData, source: Path | str) -> None:
    """Warn of outliers among readings and actions, which would dominate the normalisation of a sensor.

    Raises:
      ValueError: a value is too large for float32, or an action is outside its bounds; the message names the episode.
    """
    stored, taken = description(data), _taken(data)
    low, high = data.action_low, data.action_high
    outside = out_of_bounds(data.actions[taken], low, high)
    if outside.any():
        row, index = np.argwhere(outside)[0]
        raise ValueError(
            f"actuator {_named(index, stored.get('actuators'))} gets {data.actions[taken][row, index]:g} in "
            f"{_moment(data, int(taken[row]))} of {source}, and its bounds are {low[index]:g} and {high[index]:g}: "
            "store what it was really given, or its own bounds"
        )
    for each in (*_sensed(data), *([_acted(data, taken)] if len(taken) else [])):
        noun, values, rows = each.noun, each.values, each.rows
        if np.abs(values).max(initial=0.0) > LARGEST:
            row, index = np.unravel_index(np.abs(values).argmax(), values.shape)
            raise ValueError(
                f"{noun} {each.name(int(index))} reads {values[row, index]:g} in {_moment(data, int(rows[row]))} of "
                f"{source}: leave the episode out, or correct that value"
            )
        least, most = np.percentile(values, [1, 99], axis=0)
        apart = np.abs(values - np.clip(values, least, most))
        for index in np.flatnonzero((apart.max(axis=0) > FAR * (most - least)) & (most > least)):
            row = apart[:, index].argmax()
            logger.warning(
                "%s %s reads %g in %s of %s, and lies between %g and %g in 98 %% of the data: see whether that is a "
                "fault, for it sets the scale that the model sees",
                noun,
                each.name(int(index)),
                values[row, index],
                _moment(data, int(rows[row])),
                source,
                least[index],
                most[index],
            )


@dataclass(frozen=True, eq=False)
class _Columns:
    """Values of one sensor, or of all actuators, at the rows where they were recorded."""

    noun: str
    values: ndarray  # [N, F]
    rows: ndarray  # [N] of the data
    words: Sequence[str]  # a name for each column, or none
    sensor: str = ""  # sensor name, if there are several

    @property
    def still(self) -> ndarray:
        """Mask [F] of the columns that never change."""
        return Moments.of(self.values).still

    def name(self, index: int) -> str:
        """Name of a column."""
        return f"{self.sensor} {_named(index, self.words)}".strip()


def _sensed(data: EpisodeData) -> list[_Columns]:
    """The vector sensors of the data."""
    words, found = description(data).get("sensors"), []
    for sensor in data.spec.sensors:
        if not sensor.is_vector:
            continue
        present = data.readings.get(f"{sensor.name}_present")
        rows = np.arange(data.rows) if present is None else np.flatnonzero(present[:, 0])
        single = len(data.spec.sensors) == 1
        values = data.readings[sensor.name] if present is None else data.readings[sensor.name][rows]
        found.append(_Columns("sensor", values, rows, (words or ()) if single else (), "" if single else sensor.name))
    return found


def _shows_one_picture(frames: ndarray) -> bool:
    """Whether pictures spread over the data are all the same."""
    some = frames[:: max(1, len(frames) // _COMPARED)]
    return bool((some == some[0]).all())


def _taken(data: EpisodeData) -> ndarray:
    """Rows at which an action was taken and recorded."""
    return np.flatnonzero((data.last != np.arange(data.rows)) & data.labelled)


def _acted(data: EpisodeData, taken: ndarray) -> _Columns:
    """The actuators in the rows at which an action was taken."""
    return _Columns("actuator", data.actions[taken], taken, description(data).get("actuators") or ())


def _numbers(data: EpisodeData) -> int:
    """Count of sensor values in one observation."""
    return sum(sensor.size for sensor in data.spec.sensors)


def _named(index: Any, words: Any) -> str:
    return f"{index} ({words[index]})" if words and index < len(words) else str(index)


def _moment(data: EpisodeData, row: int) -> str:
    firsts = np.unique(data.first)
    return f"{data.name(int(np.searchsorted(firsts, row, side='right')) - 1)} at step {row - int(data.first[row])}"


def identity(data: EpisodeData) -> dict[str, Any]:
    """Identity of a dataset regardless of its path: a training run resumes only on its original dataset."""
    shown = {sensor.name: data.readings[sensor.name] for sensor in data.spec.pictures}
    return {
        "episodes": data.episodes,
        "steps": data.steps,
        "observation_size": _numbers(data),
        "action_size": data.actions.shape[1],
        "control_period": description(data).get("control_period"),
        "checksum": _checksum(*(values for name, values in data.readings.items() if name not in shown), data.actions),
        # All pictures would take seconds; those of the same simulator states are the same.
        **{
            f"checksum_{name}": _checksum(values[:: max(1, len(values) // _COMPARED)]) for name, values in shown.items()
        },
    }


def _checksum(*arrays: ndarray) -> int:
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return value
