"""Growth of latent distances with the remaining steps: a cost that is flat far from the goal gives no direction."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

import envs
from envs.streams import episode_rng
from worldmodel.data.episodes import EpisodeData
from worldmodel.models.freeze import FrozenModel

from ..build.embeddings import data_rows
from ..evaluation.goals.policies import ScriptPolicy
from ..evaluation.goals.protocols import Pairs
from ..evaluation.goals.rollout import run_episodes
from ..evaluation.moments import goal_rows, repeated, stacks, true_rows
from .held_out import STREAM

LEVEL = 0.9  # of the mean of the farthest third: the median reaching it has almost stopped growing
FEWEST = 8  # moments in a bin


@dataclass(frozen=True, eq=False)
class Reach:
    """Distances from the moments of held-out drives to their ends."""

    source: str
    steps: Float[ndarray, "M"]  # remaining environment steps of the drive
    distances: dict[str, Float[ndarray, "M"]]  # "critic" in its own steps, where there is one, and "euclid"

    def curve(self, name: str, bins: int = 24) -> tuple[Float[ndarray, "b"], Float[ndarray, "3 b"]]:
        """Center step of each bin, and the 10 %, 50 % and 90 % quantiles of the distance there."""
        edges = np.linspace(0, self.steps.max() + 1, min(bins, int(self.steps.max()) + 1) + 1)
        which = np.digitize(self.steps, edges) - 1
        kept = [b for b in range(len(edges) - 1) if (which == b).sum() >= FEWEST]
        middle = np.array([self.steps[which == b].mean() for b in kept])
        values = [np.quantile(self.distances[name][which == b], [0.1, 0.5, 0.9]) for b in kept]
        return middle, np.array(values).reshape(-1, 3).T

    def saturation(self, name: str) -> float:
        """Steps from the end at which the median distance almost reaches that of the farthest third; NaN with too few.

        With linear growth, that is at three quarters of the longest.
        """
        middle, quantiles = self.curve(name)
        if len(middle) < 3:
            return float("nan")
        median = quantiles[1]
        far = float(median[-(len(median) // 3) :].mean())
        return float(middle[np.argmax(median >= median[0] + LEVEL * (far - median[0]))])

    @property
    def longest(self) -> float:
        """Largest step with enough moments for the curve; NaN if there is none."""
        middle, _ = self.curve("euclid")
        return float(middle[-1]) if len(middle) else float("nan")


def of_script(model: FrozenModel, task: envs.Task, drives: int, seed: int) -> Reach:
    """Measure along successful drives of the task's script: from each moment to the goal at rest, as in planning.

    The steps of a random behaviour between two moments say little about the number needed.
    """
    drawn = [task.sample_pair(episode_rng(seed, STREAM, i)) for i in range(drives)]
    pairs = Pairs(
        "held out", np.stack([state for state, _ in drawn]), np.stack([goal for _, goal in drawn]), task.budget
    )
    records = [record for record in run_episodes(task, ScriptPolicy(task), pairs) if record.success]
    if not records:
        raise ValueError(f"the script of {task.name} reached none of {drives} goals: is its budget long enough?")
    episodes = [true_rows(task, record.states, model) for record in records]
    goals = [repeated(goal_rows(task, record.goal, model), len(model.lags)) for record in records]
    return _reach(model, episodes, goals, f"{len(records)} scripted drives")


def of_data(model: FrozenModel, data: EpisodeData) -> Reach:
    """Measure along the data's own episodes, to their last moment."""
    rows = data_rows(model, data)
    episodes = [rows[first : data.last[first] + 1] for first in np.unique(data.first)]
    ends = [stacks(episode, model.lags)[-1] for episode in episodes]
    return _reach(model, episodes, ends, f"{len(episodes)} episodes of the data, to their end")


def _reach(model: FrozenModel, episodes: list[ndarray], goals: list[ndarray], source: str) -> Reach:
    seen = np.concatenate([stacks(episode, model.lags) for episode in episodes])
    targets = np.concatenate(
        [np.repeat(goal[None], len(episode), axis=0) for episode, goal in zip(episodes, goals, strict=True)]
    )
    steps = np.concatenate([np.arange(len(episode) - 1, -1, -1, dtype=np.float64) for episode in episodes])
    found = jax.device_get(_distances(model, seen.astype(np.float32), targets.astype(np.float32)))
    return Reach(source, steps, {name: np.asarray(values) for name, values in found.items()})


@jax.jit
def _distances(model: FrozenModel, stacks: jax.Array, goals: jax.Array) -> dict[str, jax.Array]:
    latents, goal_latents = model.encode(model.params, stacks), model.encode(model.params, goals)
    found = {"euclid": jax.numpy.linalg.norm(latents - goal_latents, axis=-1)}
    if model.heads.distance is not None:
        found["critic"] = model.heads.distance(model.params, latents, goal_latents)
    return found
