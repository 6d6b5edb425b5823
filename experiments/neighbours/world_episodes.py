"""Episodes of a stable-worldmodel dataset, in whatever of its formats: Lance, HDF5, folders, videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from worldmodel import EpisodeData, ObservationSpec


def world_episodes(
    dataset: Any,
    columns: Mapping[str, str] | Sequence[str],
    bounds: tuple[Any, Any],
    actions: str = "action",
    episodes: int | None = None,
    spec: ObservationSpec | None = None,
) -> EpisodeData:
    """Read a dataset of stable-worldmodel into memory.

    A row of its episodes holds what was seen and the action taken next; that of the last row is left out. Pictures come
    with their channels first there, and last here.

    Args:
      dataset: as `stable_worldmodel.data.load_dataset` returns it: it has `lengths`, `column_names` and
        `load_episode(number)`.
      columns: of the sensors, by sensor; or names of columns, which the sensors then have, too.
      bounds: of the actions, lowest and highest, [A] each.
      actions: column of the actions.
      episodes: how many, from the first on; None: all.
      spec: the sensors, as `EpisodeData.of` takes it.

    Raises:
      ValueError: a column is missing, there is no episode of two rows, or `EpisodeData.of` refuses what was read.
    """
    named = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
    if missing := [name for name in (*named.values(), actions) if name not in dataset.column_names]:
        raise ValueError(f"the dataset has no column {missing[0]!r}: it has {', '.join(sorted(dataset.column_names))}")
    readings, taken, names = [], [], []
    for number in range(len(dataset.lengths) if episodes is None else min(episodes, len(dataset.lengths))):
        episode = dataset.load_episode(number)
        if len(episode[actions]) < 2:
            continue
        readings.append({sensor: _channels_last(np.asarray(episode[column])) for sensor, column in named.items()})
        taken.append(np.asarray(episode[actions], np.float32).reshape(len(episode[actions]), -1)[:-1])
        names.append(f"episode {number}")
    if not readings:
        raise ValueError("the dataset has no episode of two rows or more")
    return EpisodeData.of(readings, taken, bounds, names=names, spec=spec)


def _channels_last(values: ndarray) -> ndarray:
    """Return pictures [T, H, W, C] from [T, C, H, W], and anything else as it is, with at least one component."""
    if values.ndim == 4 and values.shape[1] in (1, 3) and values.shape[-1] not in (1, 3):
        return values.transpose(0, 2, 3, 1)
    return values[:, None] if values.ndim == 1 else values
