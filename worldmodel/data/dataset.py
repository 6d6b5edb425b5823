"""Minari datasets as contiguous arrays: every episode one after the other, with the rows where it starts and ends.

Any Minari dataset whose observations and actions are one-dimensional Boxes can be read, and a robot's own logs, too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from .float32 import Float32Columns, as_float32
from .logs import DESCRIPTION, read_logs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpisodeData:
    """All episodes, one after the other. Row `i` holds an observation and the action taken there.

    An episode of T steps has T+1 rows; the action of its last row is zero and never used.
    """

    observations: Float[ndarray, "M O"]
    actions: Float[ndarray, "M A"]
    first: Int[ndarray, "M"]  # row at which the row's episode starts
    last: Int[ndarray, "M"]  # row at which the row's episode ends
    states: ndarray | None  # [M, S] simulator states, where the dataset has them in infos["state"]
    action_low: Float[ndarray, "A"]
    action_high: Float[ndarray, "A"]
    metadata: dict[str, Any]
    names: tuple[str, ...] = ()  # what each episode is called where it was read; empty: its number
    rewards: Float[ndarray, "M"] | None = None  # of the action in each row, where they were asked for
    terminated: Bool[ndarray, "M"] | None = None  # whether that action ended the episode for good

    @classmethod
    def of(
        cls,
        observations: Sequence[ndarray],
        actions: Sequence[ndarray],
        states: Sequence[ndarray],
        bounds: tuple[Any, Any],
        metadata: dict[str, Any],
        names: Sequence[str] = (),
    ) -> EpisodeData:
        """Episodes of `[T+1, O]` observations and `[T, A]` actions, at least one; states only where all have some."""
        lengths = np.array([len(each) for each in observations])
        ends = np.cumsum(lengths)
        padded = [np.concatenate([each, np.zeros_like(each[:1])]) for each in actions]
        return cls(
            observations=np.concatenate(observations),
            actions=np.concatenate(padded),
            first=np.repeat(ends - lengths, lengths).astype(np.int32),
            last=np.repeat(ends - 1, lengths).astype(np.int32),
            states=np.concatenate(states) if len(states) == len(lengths) else None,
            action_low=np.asarray(bounds[0], np.float32),
            action_high=np.asarray(bounds[1], np.float32),
            metadata=metadata,
            names=tuple(names),
        )

    def name(self, episode: int) -> str:
        """What an episode is called, counted from 0 among those that were read."""
        return self.names[episode] if self.names else f"episode {episode}"

    def last_episodes(self, count: int) -> EpisodeData:
        """The last `count` episodes, or all where there are fewer."""
        begin = int(np.unique(self.first)[-count:][0])
        return replace(
            self,
            observations=self.observations[begin:],
            actions=self.actions[begin:],
            first=self.first[begin:] - np.int32(begin),
            last=self.last[begin:] - np.int32(begin),
            states=None if self.states is None else self.states[begin:],
            names=self.names[-count:],
            rewards=None if self.rewards is None else self.rewards[begin:],
            terminated=None if self.terminated is None else self.terminated[begin:],
        )

    @property
    def episodes(self) -> int:
        """How many episodes there are; empty ones were left out when reading."""
        return len(np.unique(self.first))

    @property
    def steps(self) -> int:
        """Environment steps, which is rows less one an episode."""
        return len(self.observations) - self.episodes


def load(path: str | Path, rewards: bool = False) -> EpisodeData:
    """Read a Minari dataset (a folder, or the id of a dataset in Minari's own store), or a folder of a robot's logs.

    Positions in the logs take the place of simulator states.

    Args:
      path: the folder or id.
      rewards: whether to read rewards and terminations, too.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: spaces other than one-dimensional Boxes, no step at all, parts of an episode that differ in length or
        a value that is not finite (the episode is named), or no rewards where they were asked for.
    """
    if (Path(path) / DESCRIPTION).is_file():
        if rewards:
            raise ValueError(f"{path} holds a robot's logs, which have no rewards: give a Minari dataset with rewards")
        return _from_logs(Path(path))
    dataset = open_minari(path)
    columns, episodes = Float32Columns("sensor"), []
    for episode in _read(path, dataset):
        if len(episode.actions) == 0:
            logger.warning("dataset %s: episode %d is empty and was left out", path, episode.id)
            continue
        _check_sizes(path, episode, dataset)
        episodes.append(_checked(path, episode, columns, rewards))
    columns.warn(path)
    if not episodes:
        raise ValueError(f"dataset {path}: it holds no episode with a step")
    bounds = (dataset.action_space.low, dataset.action_space.high)
    data = EpisodeData.of(
        [each["observations"] for each in episodes],
        [each["actions"] for each in episodes],
        [each["state"] for each in episodes if "state" in each],
        bounds,
        dict(dataset.storage.metadata),
        [each["name"] for each in episodes],
    )
    if not rewards:
        return data
    # As actions have one, for each episode's last observation.
    return replace(
        data,
        rewards=np.concatenate([np.append(each["rewards"], np.float32(0.0)) for each in episodes]),
        terminated=np.concatenate([np.append(each["terminated"], False) for each in episodes]),
    )


_REWARDS = ("rewards", "terminated")


def _read(path: str | Path, dataset: Any) -> Iterator[Any]:
    """The episodes as Minari gives them."""
    episodes = dataset.iterate_episodes()
    while True:
        try:
            episode = next(episodes)
        except StopIteration:
            return
        except Exception as error:  # whatever h5py and pyarrow raise on a file that was cut off or altered
            raise ValueError(f"dataset {path} is damaged ({_short(error)}): take an intact copy") from error
        yield episode


def _check_sizes(path: str | Path, episode: Any, dataset: Any) -> None:
    """Raise ValueError where an episode's arrays are not those of the dataset's spaces."""
    for noun, space in (("observations", dataset.observation_space), ("actions", dataset.action_space)):
        values = np.asarray(getattr(episode, noun))
        if values.ndim != 2 or values.shape[1:] != space.shape or values.dtype.kind not in "fiub":
            raise ValueError(
                f"dataset {path}: episode {episode.id} has {noun} {values.shape} of the type {values.dtype}; expected "
                f"numbers, {space.shape[0]} a row"
            )


def _short(error: Exception) -> str:
    """An error of another library in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _checked(path: str | Path, episode: Any, columns: Float32Columns, rewards: bool) -> dict[str, Any]:
    """One episode's arrays by name, and its own name."""
    name = f"episode {episode.id}"
    parts: dict[str, Any] = {
        "observations": columns.cast(np.asarray(episode.observations), name),
        "actions": as_float32(np.asarray(episode.actions)),
    }
    obs, act = parts["observations"], parts["actions"]
    if len(obs) != len(act) + 1:
        raise ValueError(
            f"dataset {path}: {name} has {len(obs)} observations for {len(act)} actions; expected one more observation "
            "than actions"
        )
    if rewards:
        parts |= {
            "rewards": as_float32(np.asarray(episode.rewards)),
            "terminated": np.asarray(episode.terminations, bool),
        }
        for noun in _REWARDS:
            if parts[noun].shape != (len(act),):
                raise ValueError(
                    f"dataset {path}: {name} has {noun} {parts[noun].shape} for {len(act)} actions; expected one each"
                )
    state = (episode.infos or {}).get("state")
    if state is not None and len(state) == len(obs):
        parts["state"] = np.asarray(state)
    for noun, values in parts.items():
        if not np.isfinite(values).all():
            step = int(np.argwhere(~np.isfinite(values))[0][0])
            raise ValueError(
                f"dataset {path}: {name} has a non-finite value in its {_NOUNS.get(noun, noun)} at step {step}: leave "
                "the episode out, or cut it there"
            )
    return {**parts, "name": name}


_NOUNS = {"state": "simulator states"}


def _from_logs(folder: Path) -> EpisodeData:
    logs = read_logs(folder)
    kept = [episode for episode in logs.episodes if len(episode[2])]
    for name in sorted({episode[0] for episode in logs.episodes} - {episode[0] for episode in kept}):
        logger.warning("%s holds no step and was left out", folder / name)
    if not kept:
        raise ValueError(f"dataset {folder}: it holds no episode with a step")
    positions = [positions for *_, positions in kept if positions is not None]
    metadata = {
        "task": json.dumps(logs.description),
        "dataset_id": folder.resolve().name,
        "total_episodes": len(kept),
        "logs": True,
    }
    bounds = (logs.description["action_low"], logs.description["action_high"])
    names = [name for name, *_ in kept]
    observations, actions = [obs for _, obs, _, _ in kept], [act for _, _, act, _ in kept]
    return EpisodeData.of(observations, actions, positions, bounds, metadata, names)


def open_minari(path: str | Path) -> Any:
    """The Minari dataset in a folder, or of an id.

    Raises:
      FileNotFoundError: no dataset there.
      ValueError: no readable dataset, or spaces other than one-dimensional Boxes.
    """
    import minari  # imported here: reading data is the only use, and planning with a model should not need it
    from gymnasium.spaces import Box

    dataset = _open(path, minari)
    for name, space in (("observation", dataset.observation_space), ("action", dataset.action_space)):
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise ValueError(f"dataset {path}: its {name} space is {space}; expected a one-dimensional Box")
    return dataset


def _open(path: str | Path, minari: Any) -> Any:
    folder = Path(path).resolve()  # Minari doubles a relative path
    if folder.is_dir() and any((*folder.glob("*.npz"), *folder.glob("*.csv"))):
        raise ValueError(f"{path} has logs and no {DESCRIPTION} beside them: docs/own_logs.md says what stands in it")
    if folder.exists():
        data = folder / "data" if (folder / "data").is_dir() else folder
        try:
            return minari.MinariDataset(str(data))
        except Exception as error:  # Minari raises whatever its storage backends raise on a foreign folder
            raise ValueError(f"{path} is not a readable Minari dataset ({_short(error)})") from error
    try:
        return minari.load_dataset(str(path))
    except (ValueError, FileNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"there is no dataset at {path}: give the folder that `jepa-mpc collect` wrote, "
            "or the id of a Minari dataset"
        ) from error
