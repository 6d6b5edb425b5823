"""What watches the parallel runs of online learning: their losses, returns and speed, one watch for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ...watching.watch import Watch


@final
class Watches:
    """The watches of all seeds.

    The step of a scalar counts environment steps, after the updates on given data alone, which come before them.

    Args:
      watches: one for each seed.
      offline_updates: updates on given data alone.
    """

    def __init__(self, watches: Sequence[Watch], offline_updates: int):
        self._watches, self._offline = tuple(watches), offline_updates
        self._before: list[tuple[int, float] | None] = [None] * len(watches)

    def learned(self, losses: Mapping[str, ndarray], env_steps: Sequence[int], updates: int, seconds: float) -> None:
        """Take the losses of the newest updates.

        Args:
          losses: an entry for each seed, or one for all.
          env_steps: of each seed.
          updates: number of gradient steps so far.
          seconds: of acting and learning so far.
        """
        for number, (watch, steps) in enumerate(zip(self._watches, env_steps, strict=True)):
            scalars = {f"losses/{name}": _of(values, number) for name, values in losses.items()}
            scalars |= {"time/seconds": seconds, "time/updates": updates}
            known = self._before[number]
            if known is not None and seconds > known[1]:
                scalars["time/steps_per_second"] = (steps - known[0]) / (seconds - known[1])
            self._before[number] = steps, seconds
            watch.write(self._step(steps, updates), scalars)

    def evaluated(self, number: int, env_steps: int, updates: int, returns: Float[ndarray, "M"]) -> None:
        """Take the returns of one seed's evaluation."""
        values = {"mean": returns.mean(), "lowest": returns.min(), "highest": returns.max()}
        scalars = {f"return/{name}": float(value) for name, value in values.items()}
        self._watches[number].write(self._step(env_steps, updates), scalars)

    def flush(self) -> None:
        """Bring the tables to disk."""
        for watch in self._watches:
            watch.flush()

    def __enter__(self) -> Watches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in self._watches:
            watch.close()

    def _step(self, env_steps: int, updates: int) -> int:
        return env_steps + min(updates, self._offline)


def _of(values: ndarray, number: int) -> float:
    flat = np.ravel(values)
    return float(flat[number if flat.size > 1 else 0])
