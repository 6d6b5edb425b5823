"""Train by the method of the settings: a world model from a dataset, or from rewards while acting, or a baseline.

Started again after a stop, it goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint, load_model

from ..build import goal_tasks
from ..build.recipes import CUSTOM
from .ensure import ensure_data, ensure_model
from .offline import train_model


def run(cfg: DictConfig) -> Checkpoint | RewardCheckpoint | Path:
    """Train, or read what was trained with this recipe before.

    The model is returned; of a baseline and of the true dynamics, the table of learning curves.
    """
    if "baseline" in cfg:
        from .baseline import run as train_baseline

        return train_baseline(cfg)
    if "ceiling" in cfg:
        from .ceiling import run as measure_ceiling

        return measure_ceiling(cfg)
    if "online" in cfg:  # an objective that learns from rewards
        from .online.run import run as learn_online

        return learn_online(cfg)
    if cfg.task.name != CUSTOM:
        goal_tasks.make(cfg.task.name, "train")
    if cfg.out is None:
        return ensure_model(cfg, cfg.seed)
    out = Path(cfg.out)
    if out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another file, or remove it")
    train_model(cfg, cfg.seed, ensure_data(cfg, cfg.seed), out)
    return load_model(out)
