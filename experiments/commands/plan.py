"""`jepa-mpc plan`: plan towards held-out goals with a trained model, with reference rows for comparison.

A model that learned from rewards is measured by its returns (`evaluation/rewards/measure.py`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from worldmodel.models.checkpoint import REWARD_MODEL, kind_of, load_model

from ..build import goal_tasks
from ..build.published import PUBLISHED
from ..build.recipes import Paths, reward_model_file
from ..evaluation.goals.measure import check_policies, measure, show
from ..records.manifest import manifest
from ..records.results import Row, append_csv, write_json
from ..shell.overrides import command_line
from ..shell.say import say
from ..training.ensure import chosen_checkpoint

if TYPE_CHECKING:
    from ..evaluation.rewards.measure import ReturnRow

logger = logging.getLogger(__name__)


def run(cfg: DictConfig) -> list[Row] | list[ReturnRow]:
    """Measure one row per policy and seed; print them pooled, and write them to `runs` and to the CSV `results`."""
    if (path := _file(cfg)) is not None and kind_of(path) == REWARD_MODEL:
        from ..evaluation.rewards import measure as reward_measure  # it needs MuJoCo
        from ..shell.command_words import words_of_command

        return reward_measure.run(path, *words_of_command(path))
    check_policies(cfg)
    if cfg.checkpoint is None:
        goal_tasks.make(cfg.task.name, "plan")
    seeds = [int(seed) for seed in cfg.seeds] if cfg.seeds is not None else [int(cfg.seed)]
    if cfg.checkpoint is None:
        log_missing(cfg, seeds)
    rows: list[Row] = []
    for seed in seeds:
        rows += measure(cfg, chosen_checkpoint(cfg, seed), seed).rows
    show(rows, f"{cfg.task.name}: {len(seeds)} seed{'s' if len(seeds) > 1 else ''}, held-out goals")
    made = manifest(cfg, seeds)
    name = "-".join(filter(None, [cfg.task.name.replace("/", "-"), "plan", str(cfg.variant)]))
    out = Path(cfg.runs) / f"{name}.json"
    write_json(out, rows, made)
    if cfg.results is not None:
        append_csv(Path(cfg.results), rows, made)
    say(f"rows: {out if cfg.results is None else cfg.results}")
    return rows


def log_missing(cfg: DictConfig, seeds: list[int]) -> None:
    """Log which models are trained first, and an estimate of the time if another model gives one."""
    files = {seed: Paths.of(cfg, seed).model for seed in seeds}
    missing = [seed for seed, file in files.items() if not file.exists()]
    if not missing:
        return
    times = [load_model(file).metadata.get("train_seconds") for file in files.values() if file.exists()]
    known = [float(seconds) for seconds in times if seconds is not None]
    minutes = f"about {max(1, round(len(missing) * max(known) / 60))} min" if known else "some minutes for each"
    logger.info(
        "%s has no model of seed %s: trained first, which takes %s; checkpoint=FILE plans with one that is there",
        cfg.runs,
        ", ".join(map(str, missing)),
        minutes,
    )


def _file(cfg: DictConfig) -> Path | None:
    """Path of the checkpoint in the settings; None for a shipped one or one that is trained if missing."""
    if cfg.checkpoint is None:
        name = str(cfg.task.name)
        return _learned_from_rewards(cfg, name) if goal_tasks.has_rewards(name) else None
    return None if str(cfg.checkpoint) == PUBLISHED else Path(cfg.checkpoint)


def _learned_from_rewards(cfg: DictConfig, task: str) -> Path:
    """Path of the task's model from `jepa-mpc train`, under `cfg.runs`.

    Raises:
      FileNotFoundError: there is no model yet.
    """
    path = reward_model_file(cfg.runs, task, int(cfg.seed), cfg.observation.sensors)
    if not path.exists():
        learn = command_line("train", {"method": "td", "task": task})
        raise FileNotFoundError(f"nothing was learned on {task} yet, as {path} is missing: begin with `{learn}`")
    return path
