"""Join Minari datasets of one recipe, such as the parts of a collection, into one dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .dataset_folder import DATA_FILE, begin, new_folder, reserve

_METADATA_FILE = "metadata.json"
_COUNTS = ("total_episodes", "total_steps", "dataset_size")  # in metadata: what parts of one recipe differ in


def join(parts: Sequence[Path], path: Path) -> None:
    """Write the episodes of several datasets to a new one, in this order, without decoding any value.

    The dataset is written next to `path` and renamed when complete, so an interrupted run leaves nothing there.

    Args:
      parts: folders of Minari datasets in HDF5, at least one.
      path: of the dataset; it must not exist yet.

    Raises:
      ValueError: no parts, or parts that differ in more than their episodes.
      FileExistsError: something is at `path` already.
      OSError: the disk is full, or `path` cannot be written.
    """
    if not parts:
        raise ValueError("no datasets to join: name at least one")
    # Imported here: Minari loads h5py and much else, which pure simulation does not need.
    import h5py
    from minari.dataset.minari_storage import MinariStorage

    known = [_metadata(part) for part in parts]
    first = _recipe(known[0])
    for part, each in zip(parts, known, strict=True):
        if differing := [name for name in {**first, **_recipe(each)} if first.get(name) != _recipe(each).get(name)]:
            raise ValueError(
                f"{part} and {parts[0]} differ in {', '.join(differing)}: only datasets of one recipe can be joined"
            )
    needed = sum((part / DATA_FILE).stat().st_size for part in parts) + 2**16
    with new_folder(path, needed) as folder:
        (folder / _METADATA_FILE).write_text(json.dumps(known[0]), encoding="utf-8")
        file, count = folder / DATA_FILE, 0
        begin(file)
        reserve(file, needed)
        with h5py.File(file, "a", track_order=True) as joined:
            for part, each in zip(parts, known, strict=True):
                with h5py.File(part / DATA_FILE, "r") as source:
                    for index in range(int(each["total_episodes"])):
                        source.copy(f"episode_{index}", joined, name=f"episode_{count}")
                        joined[f"episode_{count}"].attrs["id"] = count
                        count += 1
        storage = MinariStorage.read(folder)
        steps = sum(int(each["total_steps"]) for each in known)
        storage.update_metadata(
            {"total_episodes": count, "total_steps": steps, "dataset_size": float(storage.get_size())}
        )


def _metadata(part: Path) -> dict[str, Any]:
    return dict(json.loads((part / _METADATA_FILE).read_text(encoding="utf-8")))


def _recipe(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in _COUNTS}
