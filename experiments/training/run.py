"""Train by the method of the settings. An interrupted training run resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from omegaconf import DictConfig

from worldmodel.devices import Devices
from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint, load_model

from ..build.processes import join
from ..build.recipes import Paths
from . import baseline, ceiling, cloning
from .ensure import ensure_data, ensure_model, require_trainable
from .offline import follow, train_model
from .online import run as online


def jepa(cfg: DictConfig) -> Checkpoint | Path:
    """Train the recipe's world model on its dataset, or load it if complete.

    Of several processes only the first returns the model, and the others its path.

    Raises:
      FileExistsError: `out` exists already.
      ValueError: a task without goals, a model of another recipe in its place, or settings of several processes that
        do not fit.
      ConnectionError: they did not meet.
    """
    require_trainable(cfg)
    devices = join(cfg)
    if jax.process_count() > 1:
        return _together(cfg, devices)
    return _jepa(cfg)


def _together(cfg: DictConfig, devices: Devices) -> Checkpoint | Path:
    """Train with other processes; only the first returns the model, and the others its path."""
    if cfg.data is None and not Paths.of(cfg, cfg.seed).data.exists():
        raise ValueError(
            f"several processes train on data that are there already: collect them first, by `jepa-mpc collect "
            f"task={cfg.task.name}`, and let each machine see them, in a shared folder or as a copy"
        )
    out = Paths.of(cfg, cfg.seed).model if cfg.out is None else Path(cfg.out)
    there = devices.agreed(out.exists())
    if jax.process_index() == 0:
        return _jepa(cfg)
    if not there:
        follow(cfg, cfg.seed, ensure_data(cfg, cfg.seed))
    return out


def _jepa(cfg: DictConfig) -> Checkpoint:
    if cfg.out is None:
        return ensure_model(cfg, cfg.seed)
    out = Path(cfg.out)
    if out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another file, or remove it")
    train_model(cfg, cfg.seed, ensure_data(cfg, cfg.seed), out)
    return load_model(out)


METHODS: dict[str, Callable[[DictConfig], Checkpoint | RewardCheckpoint | Path]] = {
    "jepa": jepa,
    "video": jepa,
    "td": online.run,
    "sac": baseline.run,
    "ppo": baseline.run,
    "gcbc": cloning.run,
    "ceiling": ceiling.run,
}


_OFFLINE = ("jepa", "video")
_LABELLED = (*_OFFLINE, "gcbc")
_WATCHED = (*_OFFLINE, "td")
_STATE_ONLY = ("sac", "ppo", "ceiling")


def run(cfg: DictConfig) -> Checkpoint | RewardCheckpoint | Path:
    """Train by `cfg.method`, or load the earlier result of this recipe.

    Returns:
      The model; of sac, ppo and ceiling the table of learning curves, of gcbc the file of its network.

    Raises:
      ValueError: settings of another method.
    """
    if cfg.method not in _OFFLINE and cfg.early_stop.every is not None:
        raise ValueError(
            f"early_stop belongs to method={' and method='.join(_OFFLINE)}, and this is method={cfg.method}: leave "
            "early_stop.every out"
        )
    if cfg.method not in _LABELLED and cfg.labels < 1:
        raise ValueError(
            f"labels hides actions of {_methods(_LABELLED)}, and this is method={cfg.method}: leave labels out"
        )
    for name in ("demonstrations", "start_from"):
        if cfg.method not in _OFFLINE and cfg[name] is not None:
            instead = "it has online.start_from" if cfg.method == "td" and name == "start_from" else "leave it out"
            raise ValueError(f"{name} belongs to {_methods(_OFFLINE)}, and this is method={cfg.method}: {instead}")
    if cfg.method not in _OFFLINE and cfg.training.get("contact_share"):
        raise ValueError(
            f"training.contact_share belongs to {_methods(_OFFLINE)}, and this is method={cfg.method}: leave it out"
        )
    if cfg.method not in _WATCHED and cfg.watch:
        raise ValueError(f"watch belongs to {_methods(_WATCHED)}, and this is method={cfg.method}: leave it out")
    if cfg.method not in _OFFLINE and (cfg.devices != 1 or cfg.distributed.coordinator is not None):
        raise ValueError(
            f"devices and distributed belong to {_methods(_OFFLINE)}, whose data are there before they train, and this "
            f"is method={cfg.method}: leave them out"
        )
    if cfg.method in _STATE_ONLY and cfg.observation.sensors is not None:
        raise ValueError(
            f"method={cfg.method} acts on the task's own vector alone: leave out observation=, or take method=td"
        )
    return METHODS[str(cfg.method)](cfg)


def _methods(names: Sequence[str]) -> str:
    """Return the methods as words: method=a, method=b and method=c."""
    *before, last = (f"method={name}" for name in names)
    return f"{', '.join(before)} and {last}"
