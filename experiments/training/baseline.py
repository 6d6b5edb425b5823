"""`jepa-mpc train method=sac task=dmc/walker-walk`: learn from rewards without a world model, by SAC or PPO of sbx."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from envs.registry import make_reward_task
from envs.reward_task import check_reward_task

from .. import build
from ..baselines import sbx
from ..baselines.reward_env import RewardEnv
from ..build.recipes import file_name
from ..build.reward_tasks import action_repeat
from ..records.manifest import manifest


def run(cfg: DictConfig) -> Path:
    """Train one seed, with regular evaluations, and return the path of its table of rows.

    A seed that is complete in the table is left as it is; an interrupted one restarts.

    Raises:
      ImportError: the extra `baselines` is not installed.
      ValueError: invalid settings, or an environment that cannot be trained on.
    """
    seed, name = int(cfg.seed), str(cfg.task.name)
    repeat = action_repeat(cfg)
    settings = {
        "algorithm": cfg.baseline.algorithm,
        "steps": cfg.online.steps,
        "evaluate_every": cfg.online.evaluate_every,
        "episodes": cfg.online.evaluate_episodes,
        "action_repeat": repeat,
    }
    config = build.fill(sbx.SbxConfig, settings, "online")
    config = replace(config, settings={str(name): value for name, value in cfg.baseline.settings.items()})
    default = Path(cfg.runs) / f"{file_name(name)}-{config.algorithm}-seed{seed}.csv"
    table = Path(cfg.online.curves) if cfg.online.curves else default
    check_reward_task(make_reward_task(name, repeat), steps=50)
    make_env = partial(_make_env, name, repeat)
    sbx.train(table, config, name, make_env, seed, manifest(cfg, [seed]))
    Console().print(f"the learning curve is in {table}")
    return table


def _make_env(name: str, repeat: int) -> RewardEnv:
    return RewardEnv(make_reward_task(name, repeat))
