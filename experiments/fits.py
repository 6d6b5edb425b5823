"""Do data, checkpoint and task belong together, and do the data hold anything? One sentence where they do not.

What a task or a robot says of itself (`describe`) is stored with every dataset and every model; foreign data may say
nothing, and are then judged by their sizes alone.
"""

from __future__ import annotations

import json
import logging
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from worldmodel.dataset import EpisodeData
from worldmodel.normalization import MIN_STD

logger = logging.getLogger(__name__)

Description = Mapping[str, Any]


def description(data: EpisodeData) -> dict[str, Any]:
    """What the data say of the robot that they are of; empty for foreign ones."""
    try:
        said = json.loads(data.metadata.get("task", "{}"))
    except (TypeError, ValueError):  # somebody else's metadata under the same name
        return {}
    return said if isinstance(said, dict) else {}


def check_task(data: EpisodeData, task: str, source: Path | str) -> None:
    """Raise ValueError if the data say that they are of another task."""
    name = description(data).get("task", task)
    if name != task:
        raise ValueError(f"the dataset {source} is of the task {name}, not of {task}: add task={name}")


def check_data(data: EpisodeData, robot: Description, source: Path | str, owner: str) -> None:
    """Raise ValueError unless the data are of a robot such as `owner` (a task, a checkpoint) describes it.

    Compared are the numbers and names of sensors and actuators, and the control period.
    """
    sizes = {"observation_size": data.observations.shape[1], "action_size": data.actions.shape[1]}
    mend = "give data of the same robot, or choose another model or task"
    _compare({**description(data), **sizes}, robot, f"the dataset {source}", owner, mend)


def check_checkpoint(trained_for: Description, task: Description, path: Path | str) -> None:
    """Raise ValueError unless a checkpoint that was trained for one description can plan in another."""
    mend = "choose the task that it was trained for, or train again"
    _compare(trained_for, task, f"the model {path}", str(task["task"]), mend)


def _compare(found: Description, wanted: Description, what: str, owner: str, mend: str) -> None:
    for key, noun in (("observation_size", "observations"), ("action_size", "actions")):
        size, wanted_size = found.get(key), wanted.get(key)
        if None not in (size, wanted_size) and size != wanted_size:
            raise ValueError(f"{what} has {noun} of {size} numbers, and {owner} has {wanted_size}: {mend}")
    period, wanted_period = found.get("control_period"), wanted.get("control_period")
    if period is not None and wanted_period is not None and not math.isclose(period, wanted_period, rel_tol=1e-6):
        raise ValueError(
            f"{what} has a control period of {1e3 * period:g} ms, and {owner} has {1e3 * wanted_period:g} ms: {mend}"
        )
    for key in ("sensors", "actuators"):
        words = zip(found.get(key) or [], wanted.get(key) or [], strict=False)
        for index, (word, wanted_word) in enumerate(words):
            if word != wanted_word:
                raise ValueError(f"{what} has {word} as {key}[{index}], and {owner} has {wanted_word}: {mend}")


def check_moves(data: EpisodeData, source: Path | str) -> None:
    """Warn of sensors and actuators that stand still in all episodes.

    Raises:
      ValueError: all sensors or all actuators do; nothing can be learned from that.
    """
    said, taken = description(data), data.last != np.arange(len(data.last))
    for noun, values, words in (
        ("sensor", data.observations, said.get("sensors")),
        ("actuator", data.actions[taken], said.get("actuators")),
    ):
        still = np.flatnonzero(values.std(axis=0) < MIN_STD)
        if len(still) == values.shape[1]:
            raise ValueError(
                f"the data in {source} stand still: no {noun} deviates by {MIN_STD:g} or more in any episode, and "
                "nothing can be learned from that; check the logging, or store them in smaller units"
            )
        for index in still.tolist():
            name = f"{index} ({words[index]})" if words else str(index)
            logger.warning(
                "%s %s never moves in %s (standard deviation below %g) and tells the model nothing; leave it out, or "
                "store it in smaller units",
                noun,
                name,
                source,
                MIN_STD,
            )


def identity(data: EpisodeData) -> dict[str, Any]:
    """What tells one dataset from another, whatever its path: a training run goes on only with the one it began on."""
    return {
        "episodes": data.episodes,
        "steps": data.steps,
        "observation_size": data.observations.shape[1],
        "action_size": data.actions.shape[1],
        "control_period": description(data).get("control_period"),
        "checksum": _checksum(data.observations, data.actions),
    }


def _checksum(*arrays: ndarray) -> int:
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return value
