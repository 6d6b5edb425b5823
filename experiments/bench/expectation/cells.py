"""The cells of `jepa-mpc bench suite=expectation`: property, visibility, method and seed of each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from envs.physics.properties import CASES, PROPERTIES

from ... import build
from ...build.recipes import recipe
from ..choices import check_choices
from .rows import CONTROLS

VISIBILITIES = tuple(dict.fromkeys(visibility for _, visibility in CASES))


@dataclass(frozen=True)
class Cell:
    """One row."""

    name: str  # of the property
    visibility: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method} on {self.name}, {self.visibility}, seed {self.seed}"

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """Identity of the row."""
        return self.name, self.visibility, self.method, self.seed

    @property
    def learned(self) -> bool:
        """Whether a model has to be trained."""
        return self.method not in CONTROLS


def folder(cfg: DictConfig) -> Path:
    """Folder of the data, the models and the page."""
    return Path(cfg.runs) / "expectation"


def data_folder(cfg: DictConfig, seed: int) -> Path:
    """Folder of the clips that the models of a seed learn from."""
    return folder(cfg) / f"clips-seed{seed}"


def model_file(cfg: DictConfig, method: str, seed: int) -> Path:
    """Path of a model."""
    return folder(cfg) / f"{method}-seed{seed}.safetensors"


def settings(cfg: DictConfig, method: str, seed: int) -> DictConfig:
    """Settings of `jepa-mpc train` for a model.

    Raises:
      ValueError: a setting does not exist.
    """
    words = [
        "task=custom",
        "observation=pixels",
        f"seed={seed}",
        f"data={data_folder(cfg, seed)}",
        *map(str, cfg.suite.overrides),
        *map(str, cfg.suite.recipes[method]),
    ]
    try:
        made = build.compose("train", *words)
    except Exception as error:  # Hydra raises errors of many types
        raise ValueError(f"the settings {' '.join(words)} cannot be composed: {error}") from error
    made.runs = str(folder(cfg))
    return made


def identified(cfg: DictConfig, cell: Cell, made: DictConfig | None) -> dict[str, Any]:
    """What determines a row besides its number of pairs, for its manifest.

    Args:
      cfg: of the suite.
      cell: of the row.
      made: settings of its model, if it has one.
    """
    suite = cfg.suite
    found: dict[str, Any] = {"false_alarm_rate": float(suite.false_alarm_rate), "held_out": int(suite.held_out)}
    if made is not None:
        learned = recipe(made, cell.seed)
        learned.pop("data")  # a folder, which says nothing
        found |= {"recipe": learned, "clips": int(suite.clips), "calibration_clips": int(suite.calibration_clips)}
        found |= {name: suite[name] for name in ("spans", "context", "pair_reduce", "clip_reduce")}
    return found


def cells(cfg: DictConfig) -> Iterator[Cell]:
    """All cells in the order of measurement: seed by seed, case by case."""
    suite = cfg.suite
    for seed in map(int, suite.seeds):
        for name, visibility in CASES:
            if name in suite.properties and visibility in suite.visibilities:
                yield from (Cell(name, visibility, method, seed) for method in map(str, suite.methods))


def check(cfg: DictConfig) -> None:
    """Raise ValueError on invalid settings before anything is measured."""
    suite = cfg.suite
    known = {
        "properties": list(PROPERTIES),
        "visibilities": list(VISIBILITIES),
        "methods": [*CONTROLS, *map(str, suite.recipes)],
    }
    check_choices(suite, known, ("seeds",))
    if int(suite.pairs) % 2:
        raise ValueError(f"suite.pairs must be even, since a quadruplet has two of them; got {suite.pairs}")
    for method in map(str, suite.methods):
        if method not in CONTROLS:
            settings(cfg, method, int(suite.seeds[0]))
