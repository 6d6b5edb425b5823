"""The cells of `jepa-mpc bench suite=representation`: task, condition, method, updates and seed of each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import envs

from ... import build
from ...build.recipes import PLANNING, Paths, recipe, settings
from ..choices import check_choices

CLEAN = "clean"
TRAINED = (CLEAN, "body", "mild_texture", "strong_texture")  # in training and test
TEST_ONLY = ("light", "noise", "camera")  # of the model that learned from clean pictures
CONDITIONS = (*TRAINED, *TEST_ONLY)


@dataclass(frozen=True)
class Cell:
    """One row."""

    task: str
    condition: str
    method: str
    updates: int
    seed: int

    def __str__(self) -> str:
        return f"{self.method} on {self.task}, {self.condition}, {self.updates} updates, seed {self.seed}"

    @property
    def identity(self) -> tuple[str, str, str, int, int]:
        """Identity of the row."""
        return self.task, self.condition, self.method, self.updates, self.seed

    @property
    def model_identity(self) -> tuple[str, str, str, int, int]:
        """Identity of its model, which several conditions of the test may share."""
        return self.task, self.learned, self.method, self.updates, self.seed

    @property
    def data_step(self) -> str:
        """Name of the step that collects the data."""
        return f"data of {self.task}, {self.learned}, seed {self.seed}"

    @property
    def model_step(self) -> str:
        """Name of the step that trains the model."""
        return f"{self.method} on {self.task}, {self.learned}, {self.updates} updates, seed {self.seed}: model"

    @property
    def model_kind(self) -> str:
        """Kind of that step."""
        return f"{self.method} {self.updates}"

    @property
    def learned(self) -> str:
        """Condition of the model's data."""
        return CLEAN if self.condition in TEST_ONLY else self.condition

    @property
    def distractor(self) -> str | None:
        """What is in the pictures of the test."""
        return None if self.condition == CLEAN else self.condition

    def settings(self, cfg: DictConfig) -> DictConfig:
        """Settings of `jepa-mpc plan` for the cell's model, whose folder is that of its data's condition.

        Raises:
          ValueError: a setting does not exist.
        """
        words = [
            f"task={self.task}",
            "observation=pixels",
            f"seed={self.seed}",
            *([] if self.learned == CLEAN else [f"observation.distractor={self.learned}"]),
            *map(str, cfg.suite.overrides),
            *map(str, cfg.suite.recipes[self.method]),
            f"training.updates={self.updates}",
        ]
        try:
            made = build.compose("plan", *words)
        except Exception as error:  # Hydra raises errors of many types
            raise ValueError(f"the settings {' '.join(words)} cannot be composed: {error}") from error
        made.runs = str(Path(cfg.runs) / "representation" / self.learned)
        return made

    def model_file(self, made: DictConfig) -> Path:
        """Path of the model with the settings `made`, next to the data that all methods share."""
        file = Paths.of(made, self.seed).model
        return file.with_name(f"{file.stem}-{self.method}-{self.updates}{file.suffix}")

    def identified(self, cfg: DictConfig, made: DictConfig) -> dict[str, Any]:
        """What determines the row, for its manifest.

        Args:
          cfg: of the suite.
          made: the cell's settings.
        """
        planning = settings(OmegaConf.masked_copy(made, list(PLANNING)))
        held_out = int(cfg.suite.held_out)
        return {"recipe": recipe(made, self.seed), "planning": planning, "test": self.condition, "held_out": held_out}


def updates_of(cfg: DictConfig) -> list[int]:
    """Numbers of updates of the suite."""
    chosen = cfg.suite.updates
    return [chosen] if isinstance(chosen, int) else [int(each) for each in chosen]


def cells(cfg: DictConfig) -> Iterator[Cell]:
    """All cells in the order of measurement: data by data, then model by model."""
    suite = cfg.suite
    chosen = list(map(str, suite.conditions))
    for task in map(str, suite.tasks):
        for seed in map(int, suite.seeds):
            for learned in TRAINED:
                tested = [each for each in chosen if each == learned or (learned == CLEAN and each in TEST_ONLY)]
                for updates in updates_of(cfg):
                    for method in map(str, suite.methods):
                        yield from (Cell(task, condition, method, updates, seed) for condition in tested)


def check(cfg: DictConfig) -> None:
    """Raise ValueError on invalid settings before anything is measured."""
    suite = cfg.suite
    known = {"tasks": list(envs.task_names()), "conditions": list(CONDITIONS), "methods": list(map(str, suite.recipes))}
    check_choices(suite, known, ("seeds",))
