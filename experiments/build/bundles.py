"""Bundles for robots: a checkpoint and a planner, with a surprise alarm if data to calibrate it are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy import ndarray
from omegaconf import DictConfig

from planning import ActionSpec, Agent
from planning.control import Bundle, LiveEngine, Surprise
from planning.control.engine.pictures import for_bundle
from planning.control.worker.surprise import calibrate
from worldmodel.data.episodes import EpisodeData
from worldmodel.models.checkpoint import Checkpoint

from .agents import agent_for
from .embeddings import data_rows, mean_pictures
from .robots import robot_of
from .sensor_ranges import contract_words


def make_bundle(
    cfg: DictConfig,
    checkpoint: Checkpoint,
    guards: Mapping[str, Any] | None = None,
    extra: Mapping[str, ndarray] | None = None,
) -> Bundle:
    """The bundle of a checkpoint, with the mean pictures of its training data.

    Args:
      cfg: the settings of `jepa-mpc export`.
      checkpoint: of the model.
      guards: see `Bundle.of`.
      extra: likewise.
    """
    agent, words = bundle_agent(cfg, checkpoint), contract_words(checkpoint)  # names all that the file lacks
    task, platforms = robot_of(checkpoint)["task"], tuple(cfg.platforms)
    tensors = {**(extra or {}), **for_bundle(mean_pictures(checkpoint.model))}
    return Bundle.of(agent, task=task, platforms=platforms, guards=guards, extra=tensors, **words)


def reward_bundle(cfg: DictConfig, path: Path, overrides: Sequence[str]) -> Bundle:
    """The bundle of a model that learned from rewards, with the planner of its training unless overridden.

    Args:
      cfg: the settings of `jepa-mpc export`.
      path: the model's file.
      overrides: the command's overrides of the model's planner.

    Raises:
      ValueError: `cfg.calibration` is set; these models have no surprise alarm.
    """
    from .learned import learned  # imports MuJoCo, for the bounds of the simulated task

    if cfg.calibration is not None:
        raise ValueError(
            f"{path} learned from rewards, and its surprise alarm cannot be calibrated: leave out calibration="
        )
    known = learned(path, *overrides)
    words = contract_words(known.checkpoint)
    return Bundle.of(known.agent(needs_period=True), task=known.task, platforms=tuple(cfg.platforms), **words)


def bundle_agent(cfg: DictConfig, checkpoint: Checkpoint) -> Agent:
    """The agent for a bundle, with the action bounds and control period that the model was trained with."""
    robot = robot_of(checkpoint, "action_low", "action_high", "control_period")
    rest = None if cfg.rest is None else [float(value) for value in cfg.rest]
    spec = ActionSpec.of(robot["action_low"], robot["action_high"], robot["control_period"], rest)
    return agent_for(cfg, checkpoint.model, spec)


def episodes(data: EpisodeData, most: int, model: Any) -> list[tuple[ndarray, ndarray]]:
    """Embeddings [L + 1, E] and actions [L, A] of the last episodes, at most `most` of them."""
    some, found = data.last_episodes(most), []
    rows = data_rows(model, some)
    for first in sorted(set(some.first.tolist())):
        last = int(some.last[first])
        found.append((rows[first : last + 1], some.actions[first:last]))
    return found


def calibrated(
    engine: LiveEngine, data: EpisodeData, alarms_a_minute: float = 1.0, most: int = 200, seed: int = 0
) -> Surprise:
    """The surprise alarm of `engine`, calibrated on a dataset that its model was not trained on.

    Raises:
      ValueError: the dataset is too small.
    """
    rate = alarms_a_minute * engine.contract.control_period / 60
    return calibrate(engine, episodes(data, most, engine.agent.model), rate, seed)
