"""The checkpoints that ship with jepa-mpc, to plan before any training: `checkpoint=published`.

    python -m experiments.build.published runs/two_room-seed0.safetensors

publishes a trained model: with two members of its ensemble and matrices in float16, below a megabyte.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from worldmodel.models.checkpoint import load_model, save_model, with_members

from ..shell.overrides import command_line
from .recipes import file_stem

PUBLISHED = "published"  # value in place of a path
FOLDER = Path(__file__).resolve().parents[1] / "checkpoints"
MEMBERS = 2


def tasks() -> list[str]:
    """The tasks with a published checkpoint, followed by its sensors where they are not the task's own."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


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
        raise ValueError(
            f"no checkpoint of {task}{seen} ships with jepa-mpc, only of {', '.join(tasks())}: train one with "
            f"`{command_line('train', {'objective': 'td', 'task': task} if '/' in task else {'task': task})}`"
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
