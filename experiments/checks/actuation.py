"""When actions show in the sensors, from recorded data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worldmodel.data.episodes import EpisodeData

from .signals import Signals

LONGEST = 8  # delay that is looked for, in steps
_ROWS = 20_000
_LEAST = 0.1  # share of a column's changes that the fit has to explain
_CLEAR = 2.0  # times the effect without delay that a delayed one must have


@dataclass(frozen=True)
class Delay:
    """Steps from an action to the first reading after the one that it changes, and how well the fit explains it."""

    steps: int
    explained: float


def delays(data: EpisodeData, signals: Signals) -> Delay | None:
    """Return how many steps later than in the next reading actions take effect; None where no linear fit shows it.

    The changes of each column, and the changes of its changes, are fitted by the actions of the last steps together.
    The column that shows actions first decides, among those that show them.
    """
    if not signals.values.shape[1] or len(signals.steps) < 200:
        return None
    inside = np.flatnonzero(signals.steps - data.first[signals.steps] >= LONGEST + 1)
    inside = inside[:: max(1, len(inside) // _ROWS)]
    if len(inside) < 200:
        return None
    rows = signals.steps[inside]
    past = np.stack([data.actions[rows - lag] for lag in range(LONGEST + 1)], axis=1).astype(np.float64)  # [N, L, A]
    scale = past.std(axis=(0, 1))
    used = scale > 0
    if not used.any():
        return None
    past = (past[..., used] - past[..., used].mean(axis=(0, 1))) / scale[used]
    flat = past.reshape(len(rows), -1)
    change = signals.changes[inside]
    targets = np.concatenate([change, change - signals.changes[inside - 1]], axis=1)
    targets = (targets - targets.mean(axis=0)) / np.maximum(targets.std(axis=0), 1e-300)
    moving = np.tile(~signals.still & (signals.spread > 0), 2)
    ridge = 1e-3 * len(rows) * np.eye(flat.shape[1])
    weights = np.linalg.solve(flat.T @ flat + ridge, flat.T @ targets)
    explained = np.where(moving, 1 - np.square(targets - flat @ weights).mean(axis=0), 0.0)
    shown = np.flatnonzero(explained >= _LEAST)
    if not len(shown):
        return None
    effect = np.linalg.norm(weights[:, shown].reshape(LONGEST + 1, -1, len(shown)), axis=1)  # [L, columns]
    lags = np.where(effect.max(axis=0) > _CLEAR * effect[0], effect.argmax(axis=0), 0)
    first = lags == lags.min()  # speeds show an action before positions do
    return Delay(int(lags.min()), float(explained[shown][first].max()))
