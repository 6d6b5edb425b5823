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


def stored_episodes(dataset: Any, rewards: bool) -> Iterator[Any]:
    """Iterate over the episodes of a `minari.MinariDataset`.

    HDF5 files of vectors are read directly; pixels may be compressed, and other formats differ, so those are read by
    Minari.

    Args:
      dataset: an open one.
      rewards: whether to read rewards and terminations as well.
    """
    space, storage = dataset.observation_space, dataset.storage
    boxes = [*space.spaces.values()] if hasattr(space, "spaces") else [space]
    if storage.FORMAT == "hdf5" and all(len(box.shape) == 1 for box in boxes):
        return _from_hdf5(storage.data_path / "main_data.hdf5", dataset.episode_indices, rewards)
    return iter(dataset.iterate_episodes())


def _from_hdf5(path: Any, numbers: ndarray, rewards: bool) -> Iterator[StoredEpisode]:
    import h5py  # here: reading data is the only use

    with h5py.File(path, "r") as file:
        for number in numbers.tolist():
            group = file[f"episode_{number}"]
            seen, state = group["observations"], group.get("infos/state")
            yield StoredEpisode(
                id=number,
                observations=seen[()] if isinstance(seen, h5py.Dataset) else {name: seen[name][()] for name in seen},
                actions=group["actions"][()],
                rewards=group["rewards"][()] if rewards else None,
                terminations=group["terminations"][()] if rewards else None,
                infos={"state": state[()]} if isinstance(state, h5py.Dataset) else None,
            )
