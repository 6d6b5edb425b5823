"""What the columns of recorded sensors look like: still, jumping, far off, or of angles that wrap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from worldmodel.data.episodes import EpisodeData
from worldmodel.moments import Moments

OFFSET = 1e4  # times its spread: a column's mean beyond that costs float32 its digits
_TURNS = (2 * math.pi, 360.0, math.pi, 180.0)
_LONG, _EPISODES = 20, 4  # steps of an episode, and episodes, that show whether a column is bounded
_GROWTH = 1.6  # of a column's way from its start, from a quarter of an episode to its end
_NOISE = -0.25  # likeness of consecutive changes below which a column is noise rather than motion


@dataclass(frozen=True, eq=False)
class Signals:
    """Columns of all vector sensors in recorded data, and how they change from one row to the next of an episode."""

    names: tuple[str, ...]  # of the columns
    values: Float[ndarray, "M E"]
    steps: Int[ndarray, "N"]  # rows that have a next one
    changes: Float[ndarray, "N E"]  # from each of them to the next; angles with a known period the shorter way
    spread: Float[ndarray, "E"]  # standard deviation of each column
    still: ndarray  # [E] bool, columns that never change

    @classmethod
    def of(cls, data: EpisodeData) -> Signals:
        """Return the signals of the vector sensors of recorded data."""
        values = data.observations.astype(np.float64)
        steps = np.flatnonzero(data.last != np.arange(data.rows))
        changes = values[steps + 1] - values[steps]
        spec = data.vector_spec
        names, periods = list[str](), list[float]()
        for sensor in () if spec is None else spec.sensors:
            single = len(data.spec.sensors) == 1
            prefix = "" if single else f"{sensor.name} "
            names += [f"{prefix}{index}" for index in range(sensor.size)]
            periods += [each or math.inf for each in (sensor.period or (None,) * sensor.size)]
        names += [f"column {index}" for index in range(len(names), values.shape[1])]  # flags of optional sensors
        turn = np.array(periods + [math.inf] * (values.shape[1] - len(periods)))
        finite = np.isfinite(turn)
        changes[:, finite] = (changes[:, finite] + turn[finite] / 2) % turn[finite] - turn[finite] / 2
        still = Moments.of(values.astype(np.float32)).still if values.size else np.zeros(values.shape[1], bool)
        return cls(tuple(names), values, steps, changes, values.std(axis=0), still)

    @property
    def persistence(self) -> Float[ndarray, "E"]:
        """Likeness of consecutive changes of each column: near 1 for positions, below 0 for noise."""
        pairs = np.flatnonzero(np.diff(self.steps) == 1)
        if not len(pairs):
            return np.zeros(len(self.names))
        before, after = self.changes[pairs], self.changes[pairs + 1]
        scale = np.maximum(np.square(self.changes).mean(axis=0), 1e-300)
        return np.asarray((before * after).mean(axis=0) / scale)

    @property
    def speed(self) -> Float[ndarray, "N"]:
        """Change of all columns from a row to the next, as a share of their spread: root mean square.

        Columns that stand still, or that are noise, are left out unless all of them are.
        """
        moving = ~self.still & (self.spread > 0)
        persists = moving & (self.persistence >= _NOISE)
        chosen = persists if persists.any() else moving
        if not chosen.any():
            return np.zeros(len(self.steps))
        return np.sqrt(np.square(self.changes[:, chosen] / self.spread[chosen]).mean(axis=1))

    def wraps(self) -> list[str]:
        """Return the columns that jump by a whole turn now and then, as an angle does that is cut at an end."""
        found = []
        for index, name in enumerate(self.names):
            size = np.abs(self.changes[:, index])
            usual = float(np.percentile(size, 90)) if len(size) else 0.0
            for turn in _TURNS[:2]:
                jumps = np.abs(size - turn) < 0.1 * turn
                reach = np.ptp(self.values[:, index])
                if jumps.any() and jumps.mean() < 0.2 and usual < turn / 4 and reach < 1.1 * turn:
                    found.append(name)
                    break
        return found

    def winds(self) -> list[str]:
        """Return the columns that have no bounds, such as a clock, or an angle that counts its turns."""
        begins = np.flatnonzero(np.diff(self.steps, prepend=-2) != 1)  # places in `steps` at which episodes begin
        lengths = np.diff(begins, append=len(self.steps))
        long = lengths >= _LONG
        if long.sum() < _EPISODES:
            return []
        first = self.values[self.steps[begins[long]]]
        early, late = (
            self.values[self.steps[begins[long] + (lengths[long] * share).astype(int) - 1] + 1] - first
            for share in (0.25, 1.0)
        )
        grows = np.sqrt(np.square(late).mean(axis=0)) > _GROWTH * np.sqrt(np.square(early).mean(axis=0))
        ahead = (np.abs(np.sign(late).mean(axis=0)) > 0.95) & (np.abs(np.sign(early).mean(axis=0)) > 0.95)
        turns = np.ptp(self.values, axis=0) > 3 * math.pi
        found = grows & (turns | ahead) & ~self.still & (self.persistence > 0.5)
        return [name for name, flag in zip(self.names, found, strict=True) if flag]

    def far_off(self) -> list[str]:
        """Return the columns whose mean is so far from zero, measured by their spread, that float32 loses digits."""
        off = np.abs(self.values.mean(axis=0)) > OFFSET * np.maximum(self.spread, 1e-300)
        return [name for name, far, still in zip(self.names, off, self.still, strict=True) if far and not still]
