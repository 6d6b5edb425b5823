"""What a model's file says of it, as lines of its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint

from ..build.sensor_ranges import KEY, contract_words
from ..training.health import judged

UNKNOWN = "not stored in the file"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(each.replace("|", "\\|") for each in line) + " |" for line in lines) + "\n"


def digest(recipe: Any) -> str:
    """Twelve digits that differ between different recipes."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def recipe_of(checkpoint: Checkpoint | RewardCheckpoint) -> dict[str, Any]:
    """All settings that determined the training."""
    metadata = checkpoint.metadata
    found = metadata.get("recipe") if isinstance(checkpoint, Checkpoint) else metadata.get("settings")
    return dict(found) if isinstance(found, Mapping) else {}


def robot(checkpoint: Checkpoint | RewardCheckpoint) -> dict[str, Any]:
    """Description of the robot; of a model for rewards what its file has of it."""
    known = checkpoint.metadata.get("task")
    if isinstance(known, Mapping):
        return dict(known)
    period = checkpoint.metadata.get("control_period")
    return {"task": known, **({} if period is None else {"control_period": period})}


def sensors(checkpoint: Checkpoint | RewardCheckpoint) -> str:
    """Sensors with their units and the range of the training data."""
    words, rows, at = contract_words(checkpoint), [], 0
    low, high, units = (words.get(name) or () for name in ("sensor_low", "sensor_high", "sensor_units"))
    names = words.get("sensors") or ()
    for sensor in checkpoint.model.observation.sensors:
        shape = " × ".join(map(str, sensor.shape))
        if len(sensor.shape) != 1:
            rows.append([f"`{sensor.name}`", shape, sensor.dtype, "", ""])
            continue
        for index in range(at, at + sensor.shape[0]):
            name = names[index] if index < len(names) else f"{sensor.name}[{index - at}]"
            bounds = f"{low[index]:.4g} to {high[index]:.4g}" if index < len(low) else UNKNOWN
            rows.append([f"`{name}`", "1", sensor.dtype, units[index] if index < len(units) else "", bounds])
        at += sensor.shape[0]
    exact = KEY in checkpoint.metadata
    return table(["sensor", "size", "type", "unit", "in the training data" if exact else "mean ± 10 deviations"], rows)


def actuators(checkpoint: Checkpoint | RewardCheckpoint) -> str:
    """Actuators with their units and bounds."""
    known = robot(checkpoint)
    low, high = known.get("action_low"), known.get("action_high")
    if not low or not high:
        return f"{checkpoint.model.action_size} actuators; their bounds are those of the task.\n"
    units, names = known.get("action_units") or (), known.get("actuators") or ()
    rows = [
        [
            f"`{names[index] if index < len(names) else f'action[{index}]'}`",
            units[index] if index < len(units) else "",
            f"{low[index]:g} to {high[index]:g}",
        ]
        for index in range(len(low))
    ]
    return table(["actuator", "unit", "bounds"], rows)


def training(checkpoint: Checkpoint | RewardCheckpoint) -> str:
    """Data, recipe, command and versions."""
    metadata, recipe = checkpoint.metadata, recipe_of(checkpoint)
    data = metadata.get("data") or {}
    steps, period = metadata.get("env_steps"), robot(checkpoint).get("control_period")
    hours = "" if not steps or not period else f", {steps * period / 3600:.2g} hours of the robot"
    facts = {
        "data": f"{data.get('total_episodes') or 'unknown'} episodes of {data.get('dataset_id') or 'unknown data'}"
        if data
        else "collected while it learned",
        "steps": UNKNOWN if steps is None else f"{steps:,}{hours}",
        "actions": _labelled(metadata.get("labelled_steps"), steps),
        "behaviour": ", ".join(_behaviours(data.get("behaviour"))),
        "seed": str(recipe.get("seed", UNKNOWN)),
        "begun with": f"`{recipe['start_from']}`" if recipe.get("start_from") else "",
        "updates": _updates(metadata.get("training")),
        "time": _seconds(metadata.get("train_seconds"), metadata.get("device")),
        "parameters": f"{checkpoint.model.parameters:,}",
        "recipe": f"`{digest(recipe)}`",
        "command": f"`{metadata['command']}`" if metadata.get("command") else UNKNOWN,
        "versions": ", ".join(f"{name} {version}" for name, version in (metadata.get("versions") or {}).items())
        or UNKNOWN,
    }
    return table(["", ""], [[name, value] for name, value in facts.items() if value])


def health(checkpoint: Checkpoint | RewardCheckpoint) -> str:
    """Figures of the representation at the end of the training, with their healthy ranges."""
    values = checkpoint.metadata.get("health")
    if not isinstance(values, Mapping):
        return f"{UNKNOWN[0].upper()}{UNKNOWN[1:]}.\n"
    rows = []
    for figure in judged(values):
        bounds = " to ".join("" if each is None else f"{each:g}" for each in (figure.low, figure.high)).strip()
        verdict = "" if not figure.bounded else "yes" if figure.ok else "**no**"
        rows.append([figure.name, f"{figure.value:.3g}", bounds, verdict, figure.meaning])
    return table(["figure", "value", "healthy", "is it", "meaning"], rows)


def _labelled(known: int | None, steps: int | None) -> str:
    """How many steps had a recorded action; "" where all of them had."""
    return "" if known is None or steps is None or known == steps else f"recorded in {known:,} of {steps:,} steps"


def _behaviours(described: Any) -> Iterator[str]:
    try:
        known = json.loads(described) if isinstance(described, str) else described
    except ValueError:
        known = None
    if not isinstance(known, Mapping):
        return
    if parts := known.get("parts"):
        for part, share in zip(parts, known.get("shares") or [None] * len(parts), strict=False):
            yield f"{'' if share is None else f'{share:.0%} '}{str(part.get('behaviour', '')).replace('_', ' ')}"
    else:
        yield str(known.get("behaviour", "")).replace("_", " ")


def _updates(settings: Any) -> str:
    names = ("updates", "frozen_updates", "critic_updates", "policy_updates")
    if not isinstance(settings, Mapping):
        return ""
    return ", ".join(f"{settings[name]:,} `{name}`" for name in names if settings.get(name))


def _seconds(seconds: Any, device: Any) -> str:
    return UNKNOWN if seconds is None else f"{seconds:.0f} s" + (f" on {device}" if device else "")
