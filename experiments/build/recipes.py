"""Recipes of training runs as JSON, and the paths of their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ..shell.overrides import command_line

# What the plans of a model depend on besides the model.
PLANNING = ("planner", "cost", "risk", "constraint", "replan_every", "precision", "members", "suggestions")
VIDEO = "video"  # the method that learns from episodes without actions, with models of its own beside the others
CUSTOM = "custom"  # the task of data from elsewhere, such as a robot's logs
Source = Path | str | Sequence[str]  # of data: a dataset, or several


@dataclass(frozen=True)
class Paths:
    """Paths of one recipe's files."""

    data: Path
    model: Path
    training: Path

    @classmethod
    def of(cls, cfg: DictConfig, seed: int) -> Paths:
        """The paths in the folder `cfg.runs` for this task and seed; they need not exist."""
        stem, runs = f"{file_stem(cfg.task.name, cfg.observation.sensors)}-seed{seed}", Path(cfg.runs)
        model = f"{stem}-{VIDEO}" if cfg.method == VIDEO else stem
        return cls(runs / f"{stem}-data", runs / f"{model}.safetensors", runs / f"{model}.training.safetensors")


def file_stem(task: str, sensors: Sequence[str] | None) -> str:
    """Beginning of the names of a task's files; `sensors` are their names, None: the task's own."""
    return "-".join([file_name(task), *([] if sensors is None else ["_".join(sensors)])])


def file_name(task: object) -> str:
    """Name of a task as part of a file's name, on any system: `goal-my_arm-ReachArm-v0`."""
    return str(task).replace("/", "-").replace(":", "-")


def recipe(cfg: DictConfig, seed: int) -> dict[str, Any]:
    """All settings that determine the result of a training run, as JSON."""
    parts: dict[str, Any] = {name: settings(cfg[name]) for name in ("task", "model", "objective", "training")}
    if cfg.observation.sensors is not None:
        parts["observation"] = settings(cfg.observation)
    if cfg.labels < 1:
        parts["labels"] = float(cfg.labels)
    if stopping := early_stop(cfg):
        parts["early_stop"] = stopping
    if cfg.get("demonstrations") is not None:
        parts["demonstrations"] = places(cfg.demonstrations)
    if cfg.get("start_from") is not None:
        parts["start_from"] = str(cfg.start_from)
    if cfg.data is not None:
        data = places(cfg.data)
        return {**parts, "data": data[0] if len(data) == 1 else data, "seed": seed}
    return {**parts, "behaviour": settings(cfg.behaviour), "collection": settings(cfg.collection), "seed": seed}


def places(source: Source | ListConfig | None) -> list[str]:
    """Paths or ids of datasets, of which a setting names one or several; none where it is null."""
    if source is None:
        return []
    return [str(source)] if isinstance(source, str | Path) else [str(each) for each in source]


def named(source: Source | ListConfig | None) -> str:
    """Paths or ids of datasets, as words of a message."""
    return " and ".join(places(source))


def early_stop(cfg: DictConfig) -> dict[str, Any]:
    """Settings of early stopping, with those of the planning that decides it, as JSON; empty while it is off."""
    node = cfg.get("early_stop")
    if node is None or node.every is None:
        return {}
    return {**settings(node), "planning": settings(OmegaConf.masked_copy(cfg, list(PLANNING)))}


def settings(node: Any) -> dict[str, Any]:
    """A group of the configuration as plain values."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def reward_model_file(runs: str | Path, task: str, seed: int, sensors: Sequence[str] | None = None) -> Path:
    """Default path of a model that `jepa-mpc train` learned from rewards.

    Args:
      runs: folder.
      task: its name.
      seed: of the training.
      sensors: their names; None: the task's own.
    """
    return Path(runs) / f"{file_stem(task, sensors)}-seed{seed}.safetensors"


def plan_command(path: Path, task: str) -> str:
    """The command that plans with a model file."""
    return command_line("plan", {"task": task, "checkpoint": path})
