"""Surprise, the distance of an observation from its prediction: one number, and a threshold of known false-alarm rate.

Three statistics of the whitened prediction error, each scaled by the usual value near the predicted latent: its size
(teleports, blows), and the missing part of the expected effect of the actions, or of the motion, over three steps (weak
actuators, friction, frozen sensors). Each becomes -log of its tail probability on held-out data; the largest counts.
The threshold is split conformal: Angelopoulos and Bates, A Gentle Introduction to Conformal Prediction, 2021.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, final

import numpy as np
from numpy import ndarray

from ..bundle.bundle import Bundle
from ..engine.interface import Engine

logger = logging.getLogger(__name__)

WINDOW = 3  # steps over which a missing effect is summed: enough for weak actuators, few enough to be quick
NEIGHBOURS = 16  # held-out predictions near the present one that give the usual error there
BANK = 2000  # held-out predictions that are kept
PRIOR = 0.3  # of a step's expected effect, in variances: least expected effect whose absence counts
TAILS = np.concatenate([np.linspace(0.5, 0.9, 5), 1 - np.geomspace(0.08, 0.02, 4)])  # quantiles that are kept
NAMES = ("size", "action", "motion")


def threshold(scores: Any, false_alarm_rate: float) -> float:
    """Return the value that a further score exceeds with at most this probability, if exchangeable with `scores`.

    It is the ceil((n + 1)(1 - rate))-th smallest of them; infinite where n is too small for the rate.

    Raises:
      ValueError: a rate outside (0, 1), or a score that is not finite.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must lie between 0 and 1; got {false_alarm_rate}")
    ordered = np.sort(np.asarray(scores, np.float64).ravel())
    if not np.isfinite(ordered).all():
        raise ValueError("scores to calibrate on must be finite")
    rank = math.ceil((len(ordered) + 1) * (1 - false_alarm_rate) - 1e-9)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


@dataclass(frozen=True)
class Prediction:
    """One comparison: the prediction for now and the observation. All [D]."""

    seen: ndarray
    predicted: ndarray
    idle: ndarray  # predicted for the rest action
    before: ndarray  # the latent that was predicted from


@dataclass(frozen=True)
class Surprise:
    """Statistics of held-out data. Made by `calibrate`, kept in a bundle as JSON."""

    mean: ndarray  # [D] of the prediction error
    whiten: ndarray  # [D, D]
    bank: ndarray  # [M, D] predicted latents
    usual: ndarray  # [M] mean square of their whitened errors
    levels: ndarray  # [3, 9] quantiles of the statistics at `TAILS`
    scales: ndarray  # [3] mean excess over the last of them
    threshold: float  # of the score
    false_alarm_rate: float  # a comparison
    scores: int  # that the threshold is based on

    def to_json(self) -> dict[str, Any]:
        """Return the fields, arrays as lists."""
        return {name: value.tolist() if isinstance(value, ndarray) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Any) -> Surprise:
        """Read the output of `to_json`.

        Raises:
          ValueError: something is missing, unknown, not finite or of the wrong shape.
        """
        names = {entry.name for entry in fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise ValueError(f"the surprise calibration must have the fields {', '.join(sorted(names))}")
        numbers = ("threshold", "false_alarm_rate", "scores")
        try:
            arrays: dict[str, Any] = {name: np.asarray(values[name], np.float32) for name in names - set(numbers)}
            single: dict[str, Any] = {name: float(values[name]) for name in numbers}
        except (TypeError, ValueError):
            raise ValueError("the surprise calibration must hold numbers") from None
        size, kept = arrays["mean"].size, len(arrays["usual"]) if arrays["usual"].ndim else 0
        shapes = {
            "mean": (size,),
            "whiten": (size, size),
            "bank": (kept, size),
            "usual": (kept,),
            "levels": (len(NAMES), len(TAILS)),
            "scales": (len(NAMES),),
        }
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} of the surprise calibration must be finite numbers of shape {shape}")
        if not kept or not (arrays["scales"] > 0).all() or not all(map(math.isfinite, single.values())):
            raise ValueError("the surprise calibration is empty, or not finite")
        return cls(**arrays, **{**single, "scores": int(single["scores"])})

    def for_bundle(self) -> tuple[dict[str, Any], dict[str, ndarray]]:
        """Return what a bundle stores: its `guards`, and its `extra` tensors."""
        parts = vars(self)
        numbers = {name: value for name, value in parts.items() if not isinstance(value, ndarray)}
        return {"surprise": numbers}, {f"surprise/{name}": parts[name] for name in parts.keys() - numbers.keys()}

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Surprise | None:
        """Read the calibration from a bundle, or None.

        Raises:
          ValueError: it is damaged, or for another size of latent.
        """
        if "surprise" not in bundle.guards:
            return None
        prefix, numbers = "surprise/", bundle.guards["surprise"]
        arrays = {name.removeprefix(prefix): a for name, a in bundle.extra.items() if name.startswith(prefix)}
        surprise = cls.from_json({**(numbers if isinstance(numbers, dict) else {}), **arrays})
        if surprise.mean.size != bundle.contract.latent_size:
            raise ValueError(f"the surprise calibration is for {surprise.mean.size} latent numbers")
        return surprise

    def error(self, prediction: Prediction) -> tuple[ndarray, ndarray, ndarray]:
        """Return the prediction error [D], and the effects [D] of the actions and of the motion, in usual errors."""
        scale = self.whiten / math.sqrt(self._usual(prediction.predicted) + 0.1)
        error = (prediction.seen - prediction.predicted - self.mean) @ scale
        return (
            error,
            (prediction.predicted - prediction.idle) @ scale,
            (prediction.predicted - prediction.before) @ scale,
        )

    def score(self, statistics: ndarray) -> float:
        """Return -log of the smallest tail probability of the statistics [3]: infinite where one is NaN."""
        if not np.isfinite(statistics).all():
            return math.inf
        return max(map(self._tail, range(len(NAMES)), statistics.tolist()))

    def _tail(self, index: int, value: float) -> float:
        levels = self.levels[index]
        if value <= levels[-1]:
            return float(np.interp(value, levels, -np.log1p(-TAILS), left=0.0))
        return -math.log1p(-TAILS[-1]) + (value - float(levels[-1])) / float(self.scales[index])

    def _usual(self, predicted: ndarray) -> float:
        """Return the mean square of the whitened errors of the held-out predictions next to this one."""
        if not np.isfinite(predicted).all():
            return math.inf
        distance = np.square(self.bank - predicted[None]).sum(axis=1)
        near = min(NEIGHBOURS, len(distance) - 1)
        return float(self.usual[np.argpartition(distance, near)[:NEIGHBOURS]].mean())


@final
class SurpriseMonitor:
    """The evidence of one episode, comparison by comparison."""

    def __init__(self, surprise: Surprise):
        self.surprise = surprise
        self._window: deque[tuple[float, float, float, float]] = deque(maxlen=WINDOW)

    def reset(self) -> None:
        """Forget the last episode."""
        self._window.clear()

    def add(self, prediction: Prediction) -> float:
        """Add a comparison; returns the score, which is an alarm above `surprise.threshold`."""
        return self.surprise.score(self.statistics(prediction))

    def statistics(self, prediction: Prediction) -> ndarray:
        """Return the statistics [3]: size of the error, missing or excess effect of the actions, and of the motion."""
        error, action, motion = self.surprise.error(prediction)
        size = math.sqrt(float(error @ error) / len(error))
        missing = (float(error @ action), float(action @ action), float(error @ motion), float(motion @ motion))
        self._window.append(missing)
        sums = np.sum(np.asarray(self._window), axis=0)
        prior = PRIOR * len(error)
        return np.asarray([size, abs(sums[0]) / math.sqrt(sums[1] + prior), abs(sums[2]) / math.sqrt(sums[3] + prior)])


def calibrate(
    engine: Engine,
    episodes: Iterable[tuple[ndarray, ndarray]],
    false_alarm_rate: float,
    seed: int = 0,
) -> Surprise:
    """Calibrate on held-out episodes.

    Half of the episodes give the usual errors, a quarter the distribution of the statistics, and a quarter
    the threshold.

    Args:
      engine: of the model.
      episodes: observations [L + 1, O] and actions [L, A] of each, from data that the model was not trained on.
      false_alarm_rate: of one comparison: `control_period / 60` for one alarm a minute.
      seed: of the split of the episodes.

    Raises:
      ValueError: fewer than 8 episodes that are longer than an action block.
    """
    compared = [found for observations, actions in episodes if (found := predictions(engine, observations, actions))]
    if len(compared) < 8:
        raise ValueError(f"calibrating surprise takes at least 8 held-out episodes; got {len(compared)}")
    rng = np.random.default_rng(seed)
    compared = [compared[index] for index in rng.permutation(len(compared))]
    half, quarter = len(compared) // 2, len(compared) // 4
    known = [each for episode in compared[:half] for each in episode]
    errors = np.stack([each.seen - each.predicted for each in known]).astype(np.float64)
    mean = np.median(errors, axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(errors.T)))
    whiten = vectors / np.sqrt(values + 0.1 * values.mean() + 1e-12)
    pick = rng.permutation(len(known))[:BANK]
    usual = np.mean(((errors - mean) @ whiten) ** 2, axis=1)[pick]
    bank = np.stack([known[index].predicted for index in pick])
    no_levels = np.zeros((len(NAMES), len(TAILS)))
    arrays = [np.asarray(part, np.float32) for part in (mean, whiten, bank, usual, no_levels, np.ones(len(NAMES)))]
    surprise = Surprise(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], arrays[5], math.inf, false_alarm_rate, 0)
    statistics = np.concatenate([_statistics(surprise, episode) for episode in compared[half : half + quarter]])
    levels = np.quantile(statistics, TAILS, axis=0).T
    above = np.maximum(statistics - levels[:, -1], 0.0)
    excess = above.sum(axis=0) / np.maximum((above > 0).sum(axis=0), 1)
    scales = np.maximum(excess, 1e-6)
    surprise = replace(surprise, levels=levels.astype(np.float32), scales=scales.astype(np.float32))
    held = np.concatenate([_statistics(surprise, episode) for episode in compared[half + quarter :]])
    scores = np.asarray([surprise.score(each) for each in held])
    limit = threshold(scores, false_alarm_rate)
    if math.isinf(limit):
        limit = float(scores.max()) + 1.0
        logger.warning(
            "%d held-out comparisons are too few for a false-alarm rate of %.2g: collect at least %d; until then the "
            "threshold is a little above all of them",
            len(scores),
            false_alarm_rate,
            math.ceil(1 / false_alarm_rate),
        )
    return replace(surprise, threshold=limit, scores=len(scores))


def predictions(engine: Engine, observations: ndarray, actions: ndarray) -> list[Prediction]:
    """Return every comparison of an episode, observations [L + 1, O] and actions [L, A], in order."""
    contract = engine.contract
    block = contract.action_block
    idle = np.broadcast_to(contract.rest_action, (block, contract.action_size)).astype(np.float32)
    state = engine.begin(observations[0], 0, 0)
    latents = []
    for observation in np.asarray(observations, np.float32):
        state = engine.observe(state, observation)
        latents.append(np.asarray(engine.root(state), np.float32))
    found = []
    for now in range(block, len(latents)):
        before = latents[now - block]
        executed = np.asarray(actions[now - block : now], np.float32)
        found.append(Prediction(latents[now], engine.predict(before, executed), engine.predict(before, idle), before))
    return found


def _statistics(surprise: Surprise, episode: list[Prediction]) -> ndarray:
    monitor = SurpriseMonitor(surprise)
    return np.stack([monitor.statistics(each) for each in episode])
