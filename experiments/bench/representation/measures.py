"""What a representation holds on held-out episodes: position, velocity, and how much of the distractor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs.behaviours import Behaviour
from envs.mujoco_task import MujocoTask
from envs.streams import episode_rng
from worldmodel.data.episodes import EpisodeData
from worldmodel.diagnostics.leak import leak
from worldmodel.diagnostics.linear_probe import linear_probe

from ...build.embeddings import embedded
from ...diagnosis.held_out import STREAM, fresh
from ...evaluation.moments import stacks

_TOGETHER = 4_096  # moments


@dataclass(frozen=True)
class Measures:
    """Contents of one representation; None for what the task or the condition does not have."""

    r2_position: float | None
    r2_velocity: float | None
    leak: float | None


def measures(model: Any, task: MujocoTask, behaviour: Behaviour, episodes: int, steps: int, seed: int) -> Measures:
    """Measure a model on new episodes of a task, seen as `task` is seen: with its distractor, if it has one.

    Args:
      model: a frozen world model.
      task: with the distractor of the condition.
      behaviour: of the episodes, which no training and no evaluation uses.
      episodes: number of them; every other one is for fitting the probe.
      steps: environment steps of each.
      seed: of the episodes.
    """
    held = fresh(task, behaviour, episodes, steps, seed)
    latents = latents_of(model, held.data, held.data.readings)
    scores = linear_probe(latents, np.stack(list(held.targets.values()), axis=1), held.data.first)
    found = dict(zip(held.targets, map(float, scores), strict=True))
    leaked = None
    if task.noisy:
        states = np.asarray(held.data.states).reshape(episodes, steps + 1, -1)
        others = [episode_rng(seed, STREAM, episodes + number) for number in range(episodes)]
        again: Any = task.sense(states, others)
        flat = {name: values.reshape((-1, *values.shape[2:])) for name, values in again.items()}
        leaked = _finite(leak(latents, latents_of(model, held.data, flat)))
    return Measures(_worst(found, "qpos"), _worst(found, "qvel"), leaked)


def latents_of(model: Any, data: EpisodeData, readings: Mapping[str, ndarray]) -> Float[ndarray, "M D"]:
    """Representations of all moments of episodes, each of the moments up to it.

    Args:
      model: a frozen world model.
      data: the episodes.
      readings: of their moments by sensor, `[M, ...]` each.
    """
    embeddings = embedded(model, readings)
    starts = np.unique(data.first)
    whole = np.concatenate([stacks(rows, model.lags) for rows in np.split(embeddings, starts[1:])])
    parts = [np.asarray(_encode(model, whole[begin : begin + _TOGETHER])) for begin in range(0, len(whole), _TOGETHER)]
    return np.concatenate(parts)


@jax.jit
def _encode(model: Any, embeddings: Any) -> Any:
    return model.encode(model.params, embeddings)


def _worst(scores: Mapping[str, float], kind: str) -> float | None:
    """The lowest score of the coordinates of one kind; those that do not move have none."""
    known = [score for name, score in scores.items() if kind in name and math.isfinite(score)]
    return min(known) if known else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
