"""`jepa-mpc plan`: plan towards held-out goals with a trained model, beside the rows that give its number meaning.

A model that learned from rewards is measured by its returns (`plan_rewards.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console

import envs
from worldmodel.checkpoint import REWARD_MODEL, Checkpoint, kind_of, load_model

from .fits import check_checkpoint
from .manifest import manifest
from .published import PUBLISHED, checkpoint_file
from .recipes import reward_model_file
from .results import Row, append_csv, write_json
from .stages import ensure_model
from .table import check_policies, measure, show

if TYPE_CHECKING:
    from .plan_rewards import ReturnRow


def run(cfg: DictConfig) -> list[Row] | list[ReturnRow]:
    """One row a policy and seed, printed pooled, and written to `runs` and to the CSV of `results`."""
    if (path := _file(cfg)) is not None and kind_of(path) == REWARD_MODEL:
        from . import plan_rewards  # it needs MuJoCo
        from .reward_checkpoint import words_of_command

        return plan_rewards.run(path, *words_of_command(path))
    check_policies(cfg)
    seeds = [int(seed) for seed in cfg.seeds] if cfg.seeds is not None else [int(cfg.seed)]
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
    Console().print(f"rows: {out if cfg.results is None else cfg.results}")
    return rows


def _file(cfg: DictConfig) -> Path | None:
    """The file that the settings name; None for one that comes along or that is trained where it is missing."""
    if cfg.checkpoint is None:
        name = str(cfg.task.name)
        return reward_model_file(cfg.runs, name, int(cfg.seed)) if "/" in name else None
    return None if str(cfg.checkpoint) == PUBLISHED else Path(cfg.checkpoint)


def chosen_checkpoint(cfg: DictConfig, seed: int) -> Checkpoint:
    """The model that the settings name, or the recipe's, which is trained where it is missing.

    Raises:
      ValueError: it was trained for another task, or for other sensors, actions or another control period.
    """
    if cfg.checkpoint is None:
        return ensure_model(cfg, seed)
    checkpoint = load_model(checkpoint_file(cfg.checkpoint, cfg.task.name))
    trained_for = checkpoint.metadata.get("task", {}).get("task")
    if trained_for != cfg.task.name:
        raise ValueError(
            f"{cfg.checkpoint} was trained for the task {trained_for}, and task={cfg.task.name} was asked for: "
            f"add task={trained_for}"
        )
    check_checkpoint(checkpoint.metadata["task"], envs.make(cfg.task.name).describe(), cfg.checkpoint)
    return checkpoint
