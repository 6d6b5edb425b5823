"""Episodes of a Minari dataset, one after the other, of which only the arrays in use are read.

Minari's own reader opens every array of an episode. Of many short episodes, opening takes most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy import ndarray


@dataclass(frozen=True)
class StoredEpisode:
    """Arrays of one episode, with the names that Minari gives them."""

    id: int
    observations: ndarray | dict[str, ndarray]  # [T+1, ...], or of each sensor
    actions: ndarray  # [T, A]
    rewards: ndarray | None = None  # [T], where requested
    terminations: ndarray | None = None  # [T], likewise
    infos: dict[str, ndarray] | None = None  # `state` [T+1, S], where the dataset has it


def stored_episodes(dataset: Any, rewards: bool, pictures: bool = True) -> Iterator[Any]:
    """Iterate over the episodes of a `minari.MinariDataset`.

    HDF5 files are read directly, unless their pictures are JPEGs; those and other formats are read by Minari.

    Args:
      dataset: an open one.
      rewards: whether to read rewards and terminations as well.
      pictures: whether to read pictures as well; Minari reads them in any case.
    """
    space, storage = dataset.observation_space, dataset.storage
    boxes = dict(space.spaces) if hasattr(space, "spaces") else {"": space}
    shown = {name for name, box in boxes.items() if len(box.shape) > 1}
    path, numbers = storage.data_path / "main_data.hdf5", dataset.episode_indices.tolist()
    if storage.FORMAT == "hdf5" and numbers and _raw(path, numbers[0], shown):
        return _from_hdf5(path, numbers, rewards, set() if pictures else shown)
    return iter(dataset.iterate_episodes())


def _raw(path: Any, number: int, shown: set[str]) -> bool:
    """Whether the pictures of an HDF5 file are arrays, and no JPEGs."""
    import h5py  # here, as below: reading data is the only use

    if not shown:
        return True
    try:
        with h5py.File(path, "r") as file:
            seen = file[f"episode_{number}/observations"]
            return all((seen[name] if name else seen).ndim == 4 for name in shown)
    except (OSError, KeyError, AttributeError):  # a damaged file, which Minari's reader describes
        return False


def _from_hdf5(path: Any, numbers: list[int], rewards: bool, left_out: set[str]) -> Iterator[StoredEpisode]:
    import h5py

    with h5py.File(path, "r") as file:
        for number in numbers:
            group = file[f"episode_{number}"]
            seen, state = group["observations"], group.get("infos/state")
            if isinstance(seen, h5py.Dataset):
                observations = {} if "" in left_out else seen[()]
            else:
                observations = {name: seen[name][()] for name in seen if name not in left_out}
            yield StoredEpisode(
                id=number,
                observations=observations,
                actions=group["actions"][()],
                rewards=group["rewards"][()] if rewards else None,
                terminations=group["terminations"][()] if rewards else None,
                infos={"state": state[()]} if isinstance(state, h5py.Dataset) else None,
            )
