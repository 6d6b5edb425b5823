"""Episodes as contiguous arrays, one after the other, with the rows where each starts and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ..observation import PRESENT, ObservationSpec, vector

Readings = ndarray | Mapping[str, ndarray]  # of one episode: [T+1, ...] of the only sensor, or of each by name


@dataclass(frozen=True)
class EpisodeData:
    """All episodes, one after the other. Row `i` holds an observation and the action taken there.

    An episode of T steps has T+1 rows; the action of its last row is zero and never used. An action that was not
    recorded is NaN in all of its components: such data are for `VideoConfig`.
    """

    readings: dict[str, ndarray]  # [M, ...] of each sensor, and `<name>_present` [M, 1] uint8 of each optional one
    actions: Float[ndarray, "M A"]
    first: Int[ndarray, "M"]  # row at which the row's episode starts
    last: Int[ndarray, "M"]  # row at which the row's episode ends
    states: ndarray | None  # [M, S] simulator states, where the dataset has them in infos["state"]
    action_low: Float[ndarray, "A"]
    action_high: Float[ndarray, "A"]
    metadata: dict[str, Any]
    spec: ObservationSpec  # the sensors in order
    names: tuple[str, ...] = ()  # each episode's name in its source; empty: its number
    rewards: Float[ndarray, "M"] | None = None  # of the action in each row, where they were requested
    terminated: Bool[ndarray, "M"] | None = None  # whether that action terminated the episode
    demonstrated: Bool[ndarray, "M"] | None = None  # whether the row's episode is to be imitated; None: unknown

    @classmethod
    def of(
        cls,
        observations: Sequence[Readings] | ndarray,
        actions: Sequence[ndarray] | ndarray,
        bounds: tuple[Any, Any],
        *,
        states: Sequence[ndarray] | ndarray = (),
        metadata: dict[str, Any] | None = None,
        names: Sequence[str] = (),
        spec: ObservationSpec | None = None,
        frames: Mapping[str, ndarray] | None = None,
    ) -> EpisodeData:
        """Join episodes, at least one.

        Args:
          observations: of each episode, [T+1, O] of the only sensor, or [T+1, ...] of each sensor by name; the last one
            follows the last action.
          actions: [T, A] of each.
          bounds: of the actions, lowest and highest, [A] each.
          states: [T+1, S] simulator states of each; left out unless every episode has some.
          metadata: of the dataset.
          names: of the episodes, for messages.
          spec: the sensors; None: one vector, `state`, or sensors inferred from the names, shapes and dtypes.
          frames: pictures of all episodes by camera, `[M, H, W, C]`, where `observations` are without them.

        Raises:
          ValueError: no episode, actions that are not vectors, bounds of another size, not one more observation than
            actions, or an episode in which a sensor is missing or reads another shape.
        """
        if len(observations) != len(actions) or len(actions) == 0:
            raise ValueError(
                f"there are observations of {len(observations)} episodes and actions of {len(actions)}: expected both "
                "of each episode, and at least one"
            )
        first = observations[0]
        if spec is None:
            spec = _described(first) if isinstance(first, Mapping) else vector(np.asarray(first).shape[-1])
        taken = [np.asarray(each, np.float32) for each in actions]
        low, high = (np.asarray(bound, np.float32) for bound in bounds)
        frames = frames or {}
        named = [_named(each, spec, frames) for each in observations]
        for episode, each in enumerate(taken):
            _check_episode(_called(names, episode), named[episode], each, low, high)
        lengths = np.array([len(each) + 1 for each in taken])
        for name, pictures in frames.items():
            if len(pictures) != lengths.sum():
                raise ValueError(f"there are {len(pictures)} pictures of {name} for {lengths.sum()} moments")
        ends = np.cumsum(lengths)
        padded = [np.concatenate([each, np.zeros((1, low.size), np.float32)]) for each in taken]
        return cls(
            readings={**{key: np.concatenate([each[key] for each in named]) for key in named[0]}, **frames},
            actions=np.concatenate(padded),
            first=np.repeat(ends - lengths, lengths).astype(np.int32),
            last=np.repeat(ends - 1, lengths).astype(np.int32),
            states=np.concatenate(states) if len(states) == len(lengths) else None,
            action_low=low,
            action_high=high,
            metadata=metadata or {},
            spec=spec,
            names=tuple(names),
        )

    @cached_property
    def observations(self) -> Float[ndarray, "M E"]:
        """Rows of all vector sensors (`ObservationSpec.row`), float32; `[M, 0]` where every sensor is a picture."""
        if not self.spec.vectors:
            return np.zeros((self.rows, 0), np.float32)
        return np.asarray(self.spec.numpy_row(self.readings), np.float32)

    @property
    def vector_spec(self) -> ObservationSpec | None:
        """Vector sensors, in whose layout `observations` are; None where every sensor is a picture."""
        return ObservationSpec(self.spec.vectors) if self.spec.vectors else None

    @cached_property
    def labelled(self) -> Bool[ndarray, "M"]:
        """Whether the action of each row was recorded; true in the last row of an episode, which has none."""
        return ~np.isnan(self.actions).all(axis=1)

    @property
    def is_labelled(self) -> bool:
        """Whether every action was recorded."""
        return bool(self.labelled.all())

    @property
    def labelled_steps(self) -> int:
        """Number of environment steps whose action was recorded."""
        return int(self.labelled.sum()) - self.episodes

    def name(self, episode: int) -> str:
        """Return the name of an episode, counted from 0 among those that were read."""
        return _called(self.names, episode)

    def last_episodes(self, count: int) -> EpisodeData:
        """Return the last `count` episodes, or all where there are fewer."""
        begin = int(np.unique(self.first)[-count:][0])
        return replace(
            self,
            readings={name: values[begin:] for name, values in self.readings.items()},
            actions=self.actions[begin:],
            first=self.first[begin:] - np.int32(begin),
            last=self.last[begin:] - np.int32(begin),
            states=None if self.states is None else self.states[begin:],
            names=self.names[-count:],
            rewards=None if self.rewards is None else self.rewards[begin:],
            terminated=None if self.terminated is None else self.terminated[begin:],
            demonstrated=None if self.demonstrated is None else self.demonstrated[begin:],
        )

    def of_episode(self, episode: int) -> slice:
        """Return the rows of an episode, counted from 0."""
        begin = int(np.unique(self.first)[episode])
        return slice(begin, int(self.last[begin]) + 1)

    def with_labels(self, share: float, seed: int) -> EpisodeData:
        """Return the same episodes, of which a share of those with recorded actions keep them, chosen by the seed.

        At least one does, if any was recorded.
        """
        taken = self.labelled & (self.last != np.arange(self.rows))
        firsts = np.unique(self.first[taken])
        kept = np.random.default_rng(seed).permutation(len(firsts))[: max(1, round(share * len(firsts)))]
        hidden = ~np.isin(self.first, firsts[kept]) & (self.last != np.arange(self.rows))
        return replace(self, actions=np.where(hidden[:, None], np.float32(np.nan), self.actions))

    def labelled_episodes(self) -> EpisodeData:
        """Return the episodes in which every action was recorded; these data where that is all of them.

        Raises:
          ValueError: there is none.
        """
        if self.is_labelled:
            return self
        firsts, lengths = np.unique(self.first, return_counts=True)
        kept = np.logical_and.reduceat(self.labelled, firsts)
        if not kept.any():
            raise ValueError("there is no episode in which every action was recorded: record the actions of some")
        rows, ends = np.repeat(kept, lengths), np.cumsum(lengths[kept])
        return replace(
            self,
            readings={name: values[rows] for name, values in self.readings.items()},
            actions=self.actions[rows],
            first=np.repeat(ends - lengths[kept], lengths[kept]).astype(np.int32),
            last=np.repeat(ends - 1, lengths[kept]).astype(np.int32),
            states=None if self.states is None else self.states[rows],
            names=tuple(name for name, keep in zip(self.names, kept, strict=False) if keep),
            rewards=None if self.rewards is None else self.rewards[rows],
            terminated=None if self.terminated is None else self.terminated[rows],
            demonstrated=None if self.demonstrated is None else self.demonstrated[rows],
        )

    def with_sensors(self, names: Sequence[str]) -> EpisodeData:
        """Return the same episodes with some of the sensors, in the order of `names`; a single one is not optional.

        Raises:
          ValueError: a sensor that the data lack.
        """
        known = {sensor.name: sensor for sensor in self.spec.sensors}
        if missing := [name for name in names if name not in known]:
            raise ValueError(f"there is no sensor {missing[0]!r}: choose from {', '.join(known)}")
        chosen = [known[name] for name in names]
        absent = [
            name for name in names if (flags := self.readings.get(name + PRESENT)) is not None and not flags.all()
        ]
        if len(chosen) == 1 and not absent:
            chosen = [replace(chosen[0], optional=False)]
        kept = [key for each in chosen for key in (each.name, *([each.name + PRESENT] if each.optional else []))]
        return replace(self, readings={key: self.readings[key] for key in kept}, spec=ObservationSpec(tuple(chosen)))

    @property
    def rows(self) -> int:
        """Number of rows, M."""
        return len(self.actions)

    @property
    def episodes(self) -> int:
        """Number of episodes; empty ones were left out when reading."""
        return len(np.unique(self.first))

    @property
    def steps(self) -> int:
        """Number of environment steps: rows less one per episode."""
        return self.rows - self.episodes


def _called(names: Sequence[str], episode: int) -> str:
    return names[episode] if names else f"episode {episode}"


def _check_episode(name: str, readings: dict[str, ndarray], actions: ndarray, low: ndarray, high: ndarray) -> None:
    """Raise ValueError unless an episode has actions [T, A], bounds of their size, and T+1 readings of each sensor."""
    if actions.ndim != 2 or not actions.shape[1:] == low.shape == high.shape:
        raise ValueError(
            f"{name} has actions of the shape {actions.shape}, and their bounds are {low.shape} and {high.shape}: "
            "expected [steps, A], [A] and [A]"
        )
    missing = np.isnan(actions)
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if partly.any():
        raise ValueError(
            f"{name} has only a part of the action at step {int(partly.argmax())}: give all of its components, or NaN "
            "for all of them where the action was not recorded"
        )
    for sensor, values in readings.items():
        if len(values) != len(actions) + 1:
            raise ValueError(
                f"{name} has {len(values)} readings of the sensor {sensor} and {len(actions)} actions: expected one "
                "more reading than actions"
            )


def _named(readings: Readings, spec: ObservationSpec, frames: Mapping[str, ndarray]) -> dict[str, ndarray]:
    """Return one episode's readings by sensor, in order."""
    if not isinstance(readings, Mapping):
        readings = {spec.sensors[0].name: readings}
    found: dict[str, ndarray] = {}
    for sensor in spec.sensors:
        if sensor.name not in frames:
            if sensor.name not in readings:
                raise ValueError(f"the sensor {sensor.name} is missing: the episode has {', '.join(readings)}")
            values = np.asarray(readings[sensor.name])
            if values.shape[1:] != sensor.shape:
                raise ValueError(f"the sensor {sensor.name} reads {values.shape[1:]}; expected {sensor.shape}")
            found[sensor.name] = values.astype(sensor.dtype, copy=False)
        if sensor.optional:
            ones = np.ones((len(next(iter(readings.values()))), 1), np.uint8)
            found[sensor.name + PRESENT] = np.asarray(readings.get(sensor.name + PRESENT, ones), np.uint8)
    return found


def _described(readings: Mapping[str, ndarray]) -> ObservationSpec:
    """Return sensors for readings without a description."""
    return ObservationSpec.of_arrays({name: (values.shape[1:], values.dtype) for name, values in readings.items()})
