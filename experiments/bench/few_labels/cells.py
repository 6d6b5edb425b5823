"""The cells of `jepa-mpc bench suite=few_labels`: task, share, method and seed of each row."""

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


@dataclass(frozen=True)
class Cell:
    """One row."""

    task: str
    share: float  # of the episodes that keep their actions
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method} on {self.task}, {self.share:.0%} labelled, seed {self.seed}"

    @property
    def identity(self) -> tuple[str, float, str, int]:
        """Identity of the row."""
        return self.task, self.share, self.method, self.seed

    @property
    def model_identity(self) -> tuple[str, float, str, int]:
        """Identity of its model: that of the row."""
        return self.identity

    @property
    def data_step(self) -> str:
        """Name of the step that collects the data."""
        return f"data of {self.task}, seed {self.seed}"

    @property
    def model_step(self) -> str:
        """Name of the step that trains the model."""
        return f"{self}: model"

    @property
    def model_kind(self) -> str:
        """Kind of that step."""
        return f"{self.method} {self.share}"

    def settings(self, cfg: DictConfig) -> DictConfig:
        """Settings of `jepa-mpc plan` for the cell's model; all cells of a task and seed share the folder of the data.

        Raises:
          ValueError: a setting does not exist.
        """
        words = [
            f"task={self.task}",
            "observation=pixels",
            f"seed={self.seed}",
            *map(str, cfg.suite.overrides),
            *map(str, cfg.suite.recipes[self.method]),
            f"labels={self.share}",
        ]
        try:
            made = build.compose("plan", *words)
        except Exception as error:  # Hydra raises errors of many types
            raise ValueError(f"the settings {' '.join(words)} cannot be composed: {error}") from error
        made.runs = str(Path(cfg.runs) / "few_labels")
        return made

    def model_file(self, made: DictConfig) -> Path:
        """Path of the model with the settings `made`, next to the data that all methods share."""
        data = Paths.of(made, self.seed).data
        return data.with_name(f"{data.name.removesuffix('-data')}-{self.method}-{self.share:g}.safetensors")

    def identified(self, cfg: DictConfig, made: DictConfig) -> dict[str, Any]:
        """What determines the row, for its manifest.

        Args:
          cfg: of the suite.
          made: the cell's settings.
        """
        planning = settings(OmegaConf.masked_copy(made, list(PLANNING)))
        return {"recipe": recipe(made, self.seed), "planning": planning}


def cells(cfg: DictConfig) -> Iterator[Cell]:
    """All cells in the order of measurement: those that share data together."""
    suite = cfg.suite
    for task in map(str, suite.tasks):
        for seed in map(int, suite.seeds):
            for share in map(float, suite.shares):
                yield from (Cell(task, share, method, seed) for method in map(str, suite.methods))


def check(cfg: DictConfig) -> None:
    """Raise ValueError on invalid settings before anything is measured."""
    suite = cfg.suite
    known = {"tasks": list(envs.task_names()), "methods": list(map(str, suite.recipes))}
    check_choices(suite, known, ("seeds", "shares"))
    for share in suite.shares:
        if not 0 < share <= 1:
            raise ValueError(f"suite.shares must be more than 0 and at most 1 each; got {share:g}")
