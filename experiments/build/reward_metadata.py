"""Validation of the header of a model for rewards: a planner is built from the settings in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from worldmodel.models.architecture import MOST

_PACKAGE = "planning."  # a file may name classes of this package only


def check_metadata(path: str | Path, metadata: Mapping[str, Any], own_planner: bool = False) -> None:
    """Check the task, the discount and the settings in the header of the model at `path`.

    Args:
      path: the path to name in messages.
      metadata: the checkpoint's metadata.
      own_planner: whether the command names a planner, so that the one in the file is not built.

    Raises:
      ValueError: a part is missing or of a wrong type, a size is out of bounds, or a class is not from `planning`: a
        file must not choose what is imported.
    """
    task, settings, discount = (metadata.get(name) for name in ("task", "settings", "discount"))
    if not isinstance(task, str) or not task:
        raise _broken(path, "names no task")
    if not isinstance(discount, int | float) or isinstance(discount, bool) or not 0 < discount <= 1:
        raise _broken(path, f"has {discount!r:.40} as its discount")
    if not isinstance(settings, dict) or not all(
        isinstance(settings.get(part), dict) for part in ("planner", "online")
    ):
        raise _broken(path, "lacks the settings that it was trained with")
    repeat = settings["online"].get("action_repeat")
    if repeat is not None and (type(repeat) is not int or not 1 <= repeat <= MOST):
        raise _broken(path, f"has {repeat!r:.40} as online.action_repeat")
    for name, value in _leaves("planner", settings["planner"]):
        if name.endswith("._target_"):
            if not own_planner and not (isinstance(value, str) and value.startswith(_PACKAGE)):
                raise ValueError(f"{path} plans with {value!r:.60}, which is not part of jepa-mpc: add planner=NAME")
        elif isinstance(value, int | float) and not abs(value) <= MOST:
            raise _broken(path, f"has {value!r:.40} as {name}")


def _broken(path: str | Path, what: str) -> ValueError:
    return ValueError(f"{path} {what}: take an intact copy, or train it again")


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value in nested settings, with its dotted name."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if entries is None:
        yield name, value
        return
    for key, each in entries:
        yield from _leaves(f"{name}.{key}", each)
