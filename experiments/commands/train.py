"""`jepa-mpc train`: learn a world model from a dataset, or from rewards while acting (objective=td, or sac beside it).

Started again after a stop, it goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint

from ..build.recipes import CUSTOM, Paths, plan_command
from ..shell.overrides import command_line
from ..shell.say import say
from ..training.run import run as train


def run(cfg: DictConfig) -> Checkpoint | RewardCheckpoint | Path:
    """Train, or read what was trained with this recipe before, and say how to plan with it.

    The model is returned; of a baseline and of the true dynamics, the table of learning curves.
    """
    trained = train(cfg)
    if isinstance(trained, Checkpoint):
        out = Path(cfg.out) if cfg.out else Paths.of(cfg, cfg.seed).model
        last = next(entry for entry in reversed(trained.metadata["history"]) if "horizon_ratio" in entry)
        say(
            f"{trained.model.parameters:,} parameters in {trained.metadata['train_seconds']:.0f} s, horizon error "
            f"{last['horizon_ratio']:.3f} of predicting no change; the model is in {out}\n"
            f"{_next(out, cfg.task.name)}"
        )
    return trained


def _next(out: Path, task: str) -> str:
    if task == CUSTOM:
        return f"make a bundle for the robot: {command_line('export', {'checkpoint': out})}"
    return f"plan with it: {plan_command(out, task)}"
