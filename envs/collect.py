"""Collect rollouts into a Minari dataset: in parallel, reproducible for any batch size, complete or not at all.

Simulator states go into `infos["state"]`, so that protocols and probes can start from recorded moments.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium.spaces
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from .behaviours import Behaviour, Generators
from .dataset_folder import DATA_FILE, begin, new_folder, reserve
from .sensors import at
from .streams import episode_rng
from .task import Task

_BYTES_PER_EPISODE = 20_000  # HDF5 headers of one episode: 18.2 kB measured
_BYTES_PER_ARRAY = 4_000  # HDF5 headers of each further array of observations
_BATCH_BYTES = 256 * 2**20  # of the observations of a batch in memory
_FRAMES_PER_CHUNK = 16  # of pictures, compressed together


@dataclass(frozen=True)
class Collected:
    """Summary of a collection."""

    path: Path
    episodes: int
    steps: int  # environment steps in all
    simulated_seconds: float
    detour_share: float  # of episodes that reach a state behind a wall, seen from their start
    rollout_seconds: float  # wall time of behaviours and physics
    write_seconds: float  # wall time of writing the dataset
    megabytes: float


def collect(
    task: Task,
    behaviour: Behaviour,
    *,
    episodes: int,
    steps: int,
    seed: int,
    path: str | Path,
    progress: Callable[[int, int], None] | None = None,
    batch: int = 256,
    first: int = 0,
) -> Collected:
    """Roll out episodes and write them to a Minari dataset in the directory `path`.

    The dataset is written next to `path` and renamed when complete, so an interrupted run leaves nothing there.

    Args:
      task: the task.
      behaviour: the policy.
      episodes: number of episodes.
      steps: environment steps of each.
      seed: each episode depends only on it and on the episode's number.
      path: of the dataset; it must not exist yet.
      progress: called as `progress(done, total)` after every batch.
      batch: episodes rolled out together; it affects only memory use.
      first: number of the first episode. Collections of 0 to 9 and of 10 to 19, joined (`envs.join`), are that of 0 to
        19.

    Raises:
      ValueError: fewer than one episode or step, or a seed or a first episode below zero.
      FileExistsError: something is at `path` already.
      OSError: the disk is full, or `path` cannot be written.
    """
    if episodes < 1 or steps < 1 or batch < 1 or seed < 0 or first < 0:
        raise ValueError(
            f"collection needs at least one episode, step and batch and a seed and a first episode from 0; "
            f"got episodes={episodes}, steps={steps}, batch={batch}, seed={seed}, first={first}"
        )
    path = Path(path)
    with new_folder(path, _estimated_bytes(task, episodes, steps)) as folder:
        writer = _Writer(task, behaviour, seed, folder)
        rollout_seconds, detours = 0.0, 0
        batch = max(1, min(batch, _BATCH_BYTES // ((steps + 1) * _reading_bytes(task))))
        for done in range(0, episodes, batch):
            began = time.perf_counter()
            numbers = range(first + done, first + min(done + batch, episodes))
            rngs = [episode_rng(seed, "collect", number) for number in numbers]
            states, actions = behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)
            rollout_seconds += time.perf_counter() - began
            if type(task).needs_detour is not Task.needs_detour:  # a task without walls has no detours to look for
                detours += int(task.needs_detour(states[:, :1], task.achieved_goal(states)).any(axis=1).sum())
            writer.write(actions, states, rngs)
            if progress is not None:
                progress(min(done + batch, episodes), episodes)
        megabytes = writer.finish()
    return Collected(
        path=path,
        episodes=episodes,
        steps=episodes * steps,
        simulated_seconds=episodes * steps * task.control_period,
        detour_share=detours / episodes,
        rollout_seconds=rollout_seconds,
        write_seconds=writer.seconds,
        megabytes=megabytes,
    )


class _Writer:
    """Writer that appends episodes to a new Minari storage and measures the time taken."""

    def __init__(self, task: Task, behaviour: Behaviour, seed: int, directory: Path):
        # Imported here: Minari loads h5py and much else, which pure simulation does not need.
        from minari.dataset.minari_storage import MinariStorage

        self._task = task
        self._file = directory / DATA_FILE
        self.seconds = 0.0
        self._storage = MinariStorage.new(
            directory, task.observation_space, task.action_space, data_format="hdf5", jpeg_encoding=False
        )
        self._storage.update_metadata(
            {
                "dataset_id": f"jepa-mpc/{task.name}-v0",
                "minari_version": version("minari"),
                "algorithm_name": str(behaviour.describe()["behaviour"]),
                "task": json.dumps(task.describe()),
                "behaviour": json.dumps(behaviour.describe()),
                "seed": seed,
            }
        )
        begin(self._file)

    def write(self, actions: Float[ndarray, "B T A"], states: Float[ndarray, "B T+1 S"], rngs: Generators) -> None:
        from minari.data_collector import EpisodeBuffer

        began = time.perf_counter()
        observations = self._task.sense(states, rngs)
        shown = {each.name: observations.pop(each.name) for each in self._task.sensors if len(each.shape) > 1}
        steps = actions.shape[1]
        rewards, terminations = np.zeros(steps, np.float32), np.zeros(steps, bool)
        truncations = np.arange(steps) == steps - 1
        reserve(self._file, _estimated_bytes(self._task, len(actions), steps))
        self._storage.update_episodes(
            EpisodeBuffer(
                observations=at(observations, index),
                actions=action,
                rewards=rewards,
                terminations=terminations,
                truncations=truncations,
                infos={"state": state},
            )
            for index, (action, state) in enumerate(zip(actions, states, strict=True))
        )
        if shown:
            write_pictures(self._file, shown)
        self.seconds += time.perf_counter() - began

    def finish(self) -> float:
        """Size of the dataset in megabytes."""
        return float(self._storage.get_size())


def write_pictures(file: Path, pictures: Mapping[str, UInt8[ndarray, "B T h w c"]]) -> None:
    """Add pictures to the episodes written last, compressed without loss, as Minari's own writer cannot.

    Args:
      file: of the dataset.
      pictures: of the last B episodes, by camera.
    """
    import h5py

    with h5py.File(file, "a", track_order=True) as stored:
        for name, frames in pictures.items():
            first = len(stored) - len(frames)
            chunks = (min(_FRAMES_PER_CHUNK, frames.shape[1]), *frames.shape[2:])
            for index, values in enumerate(frames):
                group = stored.require_group(f"episode_{first + index}/observations")
                group.create_dataset(
                    name,
                    data=values,
                    chunks=chunks,
                    maxshape=(None, *frames.shape[2:]),
                    compression="gzip",
                    compression_opts=1,
                )


def _boxes(task: Task) -> list[Any]:
    space = task.observation_space
    return list(space.values()) if isinstance(space, gymnasium.spaces.Dict) else [space]


def _reading_bytes(task: Task) -> int:
    """Bytes of one moment's observation in memory."""
    return sum(box.dtype.itemsize * math.prod(box.shape) for box in _boxes(task))


def _estimated_bytes(task: Task, episodes: int, steps: int) -> int:
    boxes = _boxes(task)
    # Pictures are compressed, to some 2 % where most of them stand still; a tenth is on the safe side.
    reading = sum(box.dtype.itemsize * math.prod(box.shape) // (10 if len(box.shape) > 1 else 1) for box in boxes)
    per_step = reading + 4 * task.action_space.shape[0] + 8 * task.state.shape[0] + 6
    payload = episodes * (steps + 1) * per_step
    headers = _BYTES_PER_EPISODE + _BYTES_PER_ARRAY * (len(boxes) - 1)
    return payload + payload // 8 + episodes * headers + 2**16  # an eighth more, because the last chunks are not full
