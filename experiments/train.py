"""`jepa-mpc train`: learn a world model from a dataset, or from rewards while acting (objective=td, or sac beside it).

Started again after a stop, it goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from worldmodel.checkpoint import Checkpoint, RewardCheckpoint, load_model

from .build import goal_tasks
from .build.recipes import CUSTOM, Paths, plan_command
from .shell.overrides import command_line
from .shell.say import say
from .stages import ensure_data, ensure_model
from .training_run import train_model


def run(cfg: DictConfig) -> Checkpoint | RewardCheckpoint | Path:
    """Train, or read what was trained with this recipe before, and say how to plan with it.

    The model is returned; of a baseline and of the true dynamics, the table of learning curves.
    """
    if "baseline" in cfg:
        from .train_baseline import run as train_baseline

        return train_baseline(cfg)
    if "ceiling" in cfg:
        from .evaluation.rewards.true_dynamics import run as measure_ceiling

        return measure_ceiling(cfg)
    if "online" in cfg:  # an objective that learns from rewards
        from .train_online import run as learn_online

        return learn_online(cfg)
    if cfg.task.name != CUSTOM:
        goal_tasks.make(cfg.task.name, "train")
    out = Path(cfg.out) if cfg.out else Paths.of(cfg, cfg.seed).model
    if cfg.out is None:
        checkpoint = ensure_model(cfg, cfg.seed)
    elif out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another file, or remove it")
    else:
        train_model(cfg, cfg.seed, ensure_data(cfg, cfg.seed), out)
        checkpoint = load_model(out)
    last = next(entry for entry in reversed(checkpoint.metadata["history"]) if "horizon_ratio" in entry)
    say(
        f"{checkpoint.model.parameters:,} parameters in {checkpoint.metadata['train_seconds']:.0f} s, horizon error "
        f"{last['horizon_ratio']:.3f} of predicting no change; the model is in {out}\n"
        f"{_next(out, cfg.task.name)}"
    )
    return checkpoint


def _next(out: Path, task: str) -> str:
    if task == CUSTOM:
        return f"make a bundle for the robot: {command_line('export', {'checkpoint': out})}"
    return f"plan with it: {plan_command(out, task)}"
