"""The checkpoints that ship with jepa-mpc, to plan before any training: `checkpoint=published`.

    python -m experiments.build.published runs/two_room-seed0.safetensors

publishes a trained model: with two members of its ensemble and matrices in float16, below a megabyte, or below two with
pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envs.sensors import PIXELS
from worldmodel.models.checkpoint import load_model, save_model, with_members

from ..shell.folders import CHECKPOINTS
from ..shell.overrides import command_line
from .recipes import file_stem

PUBLISHED = "published"  # value in place of a path
FOLDER = CHECKPOINTS
MEMBERS = 2


def tasks(sensors: Sequence[str] | None = None) -> list[str]:
    """The tasks with a published checkpoint that sees these sensors; None: the task's own."""
    ending = file_stem("", sensors)
    stems = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
    if sensors is None:
        return [stem for stem in stems if f"-{PIXELS}" not in stem]
    return [stem.removesuffix(ending) for stem in stems if stem.endswith(ending)]


def checkpoint_file(checkpoint: str | Path, task: str, sensors: Sequence[str] | None = None) -> Path:
    """The file of the setting `checkpoint`, which is a path or `published`.

    Args:
      checkpoint: the setting.
      task: its name.
      sensors: what the task is observed by; None: its own sensors.

    Raises:
      ValueError: no checkpoint is published for this task and these sensors.
    """
    if str(checkpoint) != PUBLISHED:
        return Path(checkpoint)
    path = FOLDER / f"{file_stem(task, sensors)}.safetensors"
    if not path.is_file():
        seen = "" if sensors is None else f" from {', '.join(sensors)}"
        words: dict[str, Any] = {**({"objective": "td"} if "/" in task else {}), "task": task}
        words |= {} if sensors is None else {"observation": list(sensors)}
        raise ValueError(
            f"no checkpoint of {task}{seen} ships with jepa-mpc, only of {', '.join(tasks(sensors)) or 'no task'}: "
            f"train one with `{command_line('train', words)}`"
        )
    return path


def publish(trained: str | Path) -> Path:
    """Write the published form of a trained model to `FOLDER`, under the name of its task."""
    checkpoint = load_model(trained)
    config = checkpoint.model.config
    model, smaller = with_members(checkpoint.model.module(), config, min(MEMBERS, config.ensemble))
    kept = {name: value for name, value in checkpoint.metadata.items() if name != "history"}
    sensors = kept.get("recipe", {}).get("observation", {}).get("sensors")
    path = FOLDER / f"{file_stem(kept['task']['task'], sensors)}.safetensors"
    save_model(path, model, smaller, kept, half=True)
    return path


if __name__ == "__main__":
    for file in sys.argv[1:]:
        sys.stdout.write(f"{publish(file)}\n")
