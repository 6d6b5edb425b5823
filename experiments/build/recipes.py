"""What a run is made of, as JSON, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..shell.overrides import command_line

CUSTOM = "custom"  # the task of data that no task of ours made: a robot's own logs


@dataclass(frozen=True)
class Paths:
    """Where one recipe's files lie."""

    data: Path
    model: Path
    training: Path

    @classmethod
    def of(cls, cfg: DictConfig, seed: int) -> Paths:
        """The places in the folder `cfg.runs` for this task and seed; nothing need be there yet."""
        stem = f"{cfg.task.name.replace('/', '-')}-seed{seed}"
        runs = Path(cfg.runs)
        return cls(runs / f"{stem}-data", runs / f"{stem}.safetensors", runs / f"{stem}.training.safetensors")


def recipe(cfg: DictConfig, seed: int) -> dict[str, Any]:
    """Everything that decides what a training run gives, as JSON."""
    parts = {name: settings(cfg[name]) for name in ("task", "model", "objective", "training")}
    parts["training"] = as_trained(parts["training"])
    if cfg.data is not None:
        return {**parts, "data": str(cfg.data), "seed": seed}
    return {**parts, "behaviour": settings(cfg.behaviour), "collection": settings(cfg.collection), "seed": seed}


def as_trained(training: dict[str, Any]) -> dict[str, Any]:
    """Settings of training without a critic's stage of no updates: what was made before there was one is the same."""
    return {name: value for name, value in training.items() if name != "critic_updates" or value}


def settings(node: Any) -> dict[str, Any]:
    """A group of the configuration as plain values."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def reward_model_file(runs: str | Path, task: str, seed: int) -> Path:
    """Where `jepa-mpc train` keeps what it learned from rewards, unless told otherwise."""
    return Path(runs) / f"{task.replace('/', '-')}-seed{seed}.safetensors"


def plan_command(path: Path, task: str) -> str:
    """How to plan with a model file again."""
    return command_line("plan", {"task": task, "checkpoint": path})
