"""Success of a model of several sensors where some are missing: with all of them, with each alone, with black pictures.

What is left out is left out of observations alone: goals stay complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from omegaconf import DictConfig

from worldmodel.models.checkpoint import Checkpoint
from worldmodel.observation import PRESENT, ObservationSpec

from ... import build
from ...build import goal_tasks
from ...evaluation.goals.measure import Learned, make_policy, make_row
from ...evaluation.goals.protocols import honest
from ...evaluation.goals.rollout import run_episodes
from ...records.manifest import manifest
from ...records.results import Row, append_csv
from ...shell.progress import progress_bar
from ...training.ensure import ensure_model
from . import table as goal_table


@dataclass(frozen=True)
class Impairment:
    """What is wrong with the observations of a row: sensors that are missing, cameras that show nothing."""

    variant: str  # of the row; empty: nothing is wrong
    missing: tuple[str, ...] = ()
    black: tuple[str, ...] = ()

    def __call__(self, observation: dict[str, ndarray]) -> dict[str, ndarray]:
        """Return the impaired observation."""
        found = dict(observation)
        for name in (*self.missing, *self.black):
            found[name] = np.zeros_like(found[name])
        for name in self.missing:
            found[name + PRESENT] = np.zeros_like(found[name + PRESENT])
        return found


class ImpairedTask:
    """The task with impaired observations; everything else, goals included, is that of the task."""

    def __init__(self, task: Any, impairment: Impairment):
        self._task, self._impairment = task, impairment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def observe(self, states: Float[ndarray, "... S"]) -> dict[str, ndarray]:
        """See Task."""
        return self._impairment(self._task.observe(states))

    def sense(self, states: Float[ndarray, "B S"], rngs: Any) -> dict[str, ndarray]:
        """See Task."""
        return self._impairment(self._task.sense(states, rngs))


def impairments(spec: ObservationSpec) -> Iterator[Impairment]:
    """All sensors, each one alone, cameras counted as one, and black pictures.

    Raises:
      ValueError: a single sensor, of which none can be left out.
    """
    cameras = tuple(sensor.name for sensor in spec.pictures)
    groups = {"pixels": cameras, **{sensor.name: (sensor.name,) for sensor in spec.vectors}}
    groups = {name: members for name, members in groups.items() if members}
    if len(groups) < 2:
        raise ValueError(
            f"suite=sensors leaves sensors out, and the model has {', '.join(groups)} alone: choose an observation "
            "with several, as in suite.observations=[pixels_proprio]"
        )
    yield Impairment("")
    for name, members in groups.items():
        yield Impairment(f"only_{name}", tuple(each.name for each in spec.sensors if each.name not in members))
    if cameras:
        yield Impairment("black_pixels", black=cameras)


def run(cfg: DictConfig) -> list[Row]:
    """Measure all rows, write each immediately where `cfg.results` is a folder, and print them.

    Raises:
      ValueError: an observation of a single sensor, or a task without it.
    """
    suite, rows = cfg.suite, list[Row]()
    for name, seen, seed in product(suite.tasks, suite.observations, suite.seeds):
        words = (f"task={name}", f"observation={seen}", f"runs='{cfg.runs}'", f"seed={seed}")
        settings = build.compose("plan", *words, *suite.overrides)
        for row in measure(settings, ensure_model(settings, int(seed)), int(seed), int(suite.episodes)):
            rows.append(row)
            if cfg.results:
                append_csv(Path(cfg.results) / "sensors.csv", [row], manifest(cfg, [int(seed)]))
    goal_table.show(rows)
    return rows


def measure(settings: DictConfig, checkpoint: Checkpoint, seed: int, episodes: int) -> Iterator[Row]:
    """Measure the model with each impairment.

    Args:
      settings: of `jepa-mpc plan`.
      checkpoint: of the model.
      seed: of the pairs.
      episodes: number of pairs.
    """
    task = goal_tasks.of_model(checkpoint)
    agent, pairs = build.agent(settings, checkpoint.model, task), honest(task, episodes, seed)
    seen, planner = goal_tasks.observation_name(task), type(agent.planner).__name__.lower()
    for each in impairments(checkpoint.model.observation):
        shown: Any = ImpairedTask(task, each)
        policy, words = make_policy("model", task, agent, seed), each.variant or "all sensors"
        with progress_bar(f"{words} on {task.name}", pairs.budget, compiles=True) as bar:
            records = run_episodes(shown, policy, pairs, bar, model=agent.model)
        solved = [record.success for record in records]
        known = {"task": task.name, "variant": each.variant, "seed": seed}
        yield make_row(pairs, "model", solved, planner, Learned.of(checkpoint), observation=seen, **known)
    task.close()
