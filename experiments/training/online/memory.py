"""Memory of an online run: a replay buffer on the device and, beside it, the pictures in files on the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy import ndarray

from envs.reward_batch import Steps
from worldmodel.data import replay as buffer
from worldmodel.data.frame_ring import FrameRing
from worldmodel.data.rewards import RewardEpisode
from worldmodel.nets.encoders.picture import APART, FITTED
from worldmodel.observation import ObservationSpec
from worldmodel.training.lanes import Lanes
from worldmodel.training.td_trainer import TdState, TdTrainer
from worldmodel.types import Metrics

from .config import OnlineConfig

_TOGETHER = 5  # updates whose pictures are in memory together


@final
class Memory:
    """Experience of one or several runs. With pictures there is one run.

    Args:
      lanes: the runs.
      spec: the sensors.
      history: P, consecutive moments that one representation looks back over.
      action_size: numbers in one action.
      config: the rhythm; `slots` are the observations that are kept.
      data: earlier experience, which every run begins with.
      frames: path of the files of pictures.
      resume: whether the files of an earlier run are continued.

    Raises:
      ValueError: data that do not fit, or files of pictures that are missing.
    """

    def __init__(
        self,
        lanes: Lanes,
        spec: ObservationSpec,
        history: int,
        action_size: int,
        config: OnlineConfig,
        data: Sequence[RewardEpisode],
        frames: Path,
        resume: bool,
    ):
        self._lanes, self._spec, self._history = lanes, spec, history
        self._vectors = ObservationSpec(spec.vectors) if spec.vectors else None
        count = config.environments
        columns = self._vectors.size if self._vectors is not None else 0
        sizes = count, config.slots // count, columns, action_size
        # What is written between two saves must not overwrite pictures that the earlier one still needs.
        spare = 2 * (config.save_every // count + 2) if spec.pictures else 0
        replays = [
            buffer.of_episodes(data, *sizes) if data else buffer.Replay.empty(*sizes, spare) for _ in range(lanes.count)
        ]
        self.replay: buffer.Replay = lanes.stack(replays)
        self._ring = FrameRing(frames, spec, count, sizes[1] + spare, resume) if spec.pictures else None
        self._remember = jax.jit(lanes.over(_remember), donate_argnums=0)
        self._places = jax.jit(_places)
        self._recent = jax.jit(_recent, static_argnums=1)

    @property
    def has_pictures(self) -> bool:
        """Whether any sensor is a picture."""
        return self._ring is not None

    def remember(self, begins: Bool[ndarray, "S E"], steps: Sequence[Steps]) -> None:
        """Store one decision in every environment of every run; `begins`: their observations are an episode's first."""
        rows = [(first, *self._rows(each)) for first, each in zip(begins, steps, strict=True)]
        if self._ring is not None:
            (step,), first = steps, begins[0]
            here, there = (np.asarray(each) for each in self._places(self.replay, first))
            self._ring.write(here, step.observations, first)
            self._ring.write(there, step.next_observations, np.ones_like(first))
        self.replay = self._remember(self.replay, *self._lanes.stack(rows))

    def learn(self, trainer: TdTrainer, state: TdState, keys: Any, count: int) -> tuple[TdState, Metrics]:
        """Run `count` updates of all runs on what is remembered; `state` is consumed.

        Args:
          trainer: of the models.
          state: of all runs.
          keys: of all runs.
          count: number of updates.
        """
        if self._ring is None:
            return trainer.updates_together(self._lanes, state, self.replay, keys, count)
        found: list[Metrics] = []
        while count:
            together = 1 if trainer.one_by_one or count < _TOGETHER else _TOGETHER
            drawn = trainer.draw(state, self.replay, together)
            rows, slots = np.asarray(drawn.rows), np.asarray(drawn.slots)
            pictures = {name: jnp.asarray(each) for name, each in self._ring.read(rows[..., None], slots).items()}
            state, metrics = trainer.updates_on(state, self.replay, drawn, pictures)
            found.append(metrics)
            count -= together
        return state, jax.tree.map(lambda *values: jnp.mean(jnp.stack(values)), *found)

    def recent(
        self, observations: Any, begins: Bool[ndarray, "E"]
    ) -> tuple[Float[ndarray, "E P V"], dict[str, ndarray]]:
        """The last P moments of every environment: rows of the vectors, and pictures by sensor.

        Args:
          observations: the present ones.
          begins: whether they are an episode's first, which is repeated before it.
        """
        assert self._ring is not None
        slots, rows = (np.array(each) for each in self._recent(self.replay, self._history))
        pictures = self._ring.read(np.arange(len(begins))[:, None], slots)
        present = self._row(observations)
        rows[begins] = present[begins, None]
        for name, seen in pictures.items():
            seen[begins] = observations[name][begins, None]
        return rows, pictures

    def pictures(self) -> tuple[dict[str, ndarray], dict[str, ndarray]]:
        """A sample of the pictures of all environments, by sensor, and those `APART` decisions later.

        The newest ones, which have none yet, are their own. The few pairs with an episode's end between them are among
        it.
        """
        assert self._ring is not None
        held = _held(self.replay)
        rows, slots = (each[:: max(1, int(held.sum()) // FITTED)] for each in np.nonzero(held))
        ahead = (slots + APART) % self.replay.slots
        later = np.where(held[rows, ahead] & (ahead > slots), ahead, slots)
        return self._ring.read(rows, slots), self._ring.read(rows, later)

    def seen(self, number: int) -> Float[ndarray, "N V"]:
        """Rows of the vectors in one run's buffer."""
        replay = self._lanes.lane(self.replay, number)
        return np.asarray(replay.observations)[_held(replay)]

    def flush(self) -> None:
        """Write pictures to disk, before a state that needs them is saved."""
        if self._ring is not None:
            self._ring.flush()

    def remove(self) -> None:
        """Delete the files of pictures, after the end of a run."""
        if self._ring is not None:
            self._ring.remove()

    def _rows(self, steps: Steps) -> tuple[ndarray, ...]:
        before, after = self._row(steps.observations), self._row(steps.next_observations)
        return before, steps.actions, steps.rewards, steps.terminated, after, steps.dropped.astype(np.int32)

    def _row(self, observations: Any) -> Float[ndarray, "E V"]:
        if self._vectors is None:
            return np.zeros((len(next(iter(observations.values()))), 0), np.float32)
        return self._vectors.numpy_row(observations)


def _held(replay: buffer.Replay) -> Bool[ndarray, "E S"]:
    """Mask of the slots in use."""
    age = (np.asarray(replay.head)[:, None] - np.arange(replay.slots)[None]) % replay.slots
    return np.asarray(age < np.asarray(replay.filled)[:, None])


def _places(replay: buffer.Replay, begins: Array) -> tuple[Array, Array]:
    """Slots of the observations before and after the next decision."""
    here = buffer.next_slot(replay, begins)
    return here, (here + 1) % replay.slots


def _recent(replay: buffer.Replay, history: int) -> tuple[Array, Array]:
    rows = jnp.arange(len(replay.head), dtype=jnp.int32)
    slots = buffer.stretch(replay, rows, replay.head, history, 0)
    return slots, replay.observations[rows[:, None], slots]


def _remember(replay: buffer.Replay, begins: Any, *step: Any) -> buffer.Replay:
    observations, actions, rewards, terminated, following, dropped = step
    replay = buffer.begin(replay, observations, begins)
    replay = buffer.add(replay, actions, rewards, terminated, following)
    return buffer.take_back(replay, dropped)
