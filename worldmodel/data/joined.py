"""Several datasets of one robot as one: a first one, what later models collected, demonstrations."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy import ndarray

from .episodes import EpisodeData

_COPIED = 1024  # pictures at a time


def joined(parts: Sequence[EpisodeData], names: Sequence[str], demonstrations: Collection[int] = ()) -> EpisodeData:
    """Return the episodes of all parts, one part after the other, with the sensors of the first one.

    Simulator states are kept where every part has them. Pictures go into a temporary file that is mapped into memory.

    Args:
      parts: at least one; further sensors of later parts are left out.
      names: of the parts, for messages.
      demonstrations: parts, by number, whose actions are to be imitated.

    Raises:
      ValueError: parts with other sensors, actions or bounds of them.
    """
    first = parts[0]
    alike = [first, *(_like(first, part, names[0], name) for part, name in zip(parts[1:], names[1:], strict=True))]
    rows = [part.rows for part in alike]
    begins = np.cumsum([0, *rows[:-1]], dtype=np.int32)
    pictures = {sensor.name for sensor in first.spec.pictures}
    states = [part.states for part in alike if part.states is not None]
    imitated = np.repeat([number in demonstrations for number in range(len(alike))], rows)
    return EpisodeData(
        readings={
            key: (_frames if key in pictures else np.concatenate)([part.readings[key] for part in alike])
            for key in first.readings
        },
        actions=np.concatenate([part.actions for part in alike]),
        first=np.concatenate([part.first + begin for part, begin in zip(alike, begins, strict=True)]),
        last=np.concatenate([part.last + begin for part, begin in zip(alike, begins, strict=True)]),
        states=np.concatenate(states) if len(states) == len(alike) else None,
        action_low=first.action_low,
        action_high=first.action_high,
        metadata=_metadata(alike),
        spec=first.spec,
        names=tuple(
            f"{part.name(each)} of {name}"
            for part, name in zip(alike, names, strict=True)
            for each in range(part.episodes)
        ),
        demonstrated=imitated if imitated.any() else None,
    )


def _like(first: EpisodeData, part: EpisodeData, owner: str, name: str) -> EpisodeData:
    """Return a part with the sensors of the first one."""
    known = {sensor.name: sensor for sensor in part.spec.sensors}
    for sensor in first.spec.sensors:
        found = known.get(sensor.name)
        if found is None:
            raise ValueError(
                f"{name} has the sensors {', '.join(known)}, and {owner} has {sensor.name} as well: give data of the "
                "same robot, recorded with the same sensors"
            )
        if (found.shape, found.dtype, found.optional) != (sensor.shape, sensor.dtype, sensor.optional):
            raise ValueError(
                f"the sensor {sensor.name} reads {found.dtype}{list(found.shape)}{' or nothing' * found.optional} in "
                f"{name}, and {sensor.dtype}{list(sensor.shape)}{' or nothing' * sensor.optional} in {owner}: give "
                "data of the same robot, recorded with the same sensors"
            )
    size, expected = part.actions.shape[1], first.actions.shape[1]
    if size != expected:
        raise ValueError(
            f"{name} has actions of {size} numbers, and {owner} of {expected}: give data of the same robot"
        )
    bounds, wanted = (np.stack([each.action_low, each.action_high]) for each in (part, first))
    if not np.allclose(bounds, wanted, rtol=1e-4):
        raise ValueError(
            f"{name} has actions from {bounds[0].tolist()} to {bounds[1].tolist()}, and {owner} from "
            f"{wanted[0].tolist()} to {wanted[1].tolist()}: give data of the same robot, in the same units"
        )
    if list(known) != [sensor.name for sensor in first.spec.sensors]:
        part = replace(part, readings={key: part.readings[key] for key in first.readings})
    return replace(part, spec=first.spec)


def _frames(parts: Sequence[ndarray]) -> ndarray:
    """Pictures of all parts, in a file that is gone with the array."""
    with tempfile.TemporaryFile(prefix="jepa-mpc-frames-") as file:
        shape = (sum(map(len, parts)), *parts[0].shape[1:])
        found = np.memmap(file, parts[0].dtype, "w+", shape=shape)
    at = 0
    for part in parts:
        for begin in range(0, len(part), _COPIED):
            some = part[begin : begin + _COPIED]
            found[at : at + len(some)] = some
            at += len(some)
    return found


def _metadata(parts: Sequence[EpisodeData]) -> dict[str, Any]:
    """Metadata of the first part, with what all of them are: a mixture, by their shares of the steps."""
    known = [part.metadata for part in parts]
    steps = sum(part.steps for part in parts)
    ids = dict.fromkeys(str(each["dataset_id"]) for each in known if each.get("dataset_id"))
    mixture = {
        "behaviour": "mixture",
        "shares": [part.steps / steps for part in parts],
        "parts": [_behaviour(each) for each in known],
    }
    return {
        **known[0],
        "dataset_id": " and ".join(ids) or None,
        "behaviour": json.dumps(mixture),
        "seed": [each.get("seed") for each in known],
        "total_episodes": sum(part.episodes for part in parts),
        "total_steps": steps,
    }


def _behaviour(metadata: dict[str, Any]) -> dict[str, Any]:
    """Description of a part's behaviour; of data from elsewhere its name, if there is any."""
    try:
        known = json.loads(metadata["behaviour"])
    except (KeyError, TypeError, ValueError):
        known = None
    return known if isinstance(known, dict) else {"behaviour": str(metadata.get("algorithm_name") or "unknown")}
