"""`jepa-mpc train`: train by one method (`method=td`): a world model from a dataset or from rewards, or a baseline.

An interrupted training run resumes.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint

from ..build.recipes import CUSTOM, Paths, plan_command
from ..cards.card import write_card
from ..shell.overrides import command_line
from ..shell.say import say
from ..training.online.run import files
from ..training.run import run as train


def run(cfg: DictConfig) -> Checkpoint | RewardCheckpoint | Path:
    """Train, or load the earlier result of this recipe, and print how to plan with it.

    Returns:
      The model; of sac, ppo and ceiling the table of learning curves, of gcbc the file of its network.
    """
    trained = train(cfg)
    if isinstance(trained, Checkpoint):
        out = Path(cfg.out) if cfg.out else Paths.of(cfg, cfg.seed).model
        last = next(entry for entry in reversed(trained.metadata["history"]) if "horizon_ratio" in entry)
        say(
            f"{trained.model.parameters:,} parameters in {trained.metadata['train_seconds']:.0f} s, horizon error "
            f"{last['horizon_ratio']:.3f} of predicting no change; the model is in {out}\n"
            f"{next_command(out, str(cfg.task.name), int(trained.metadata.get('labelled_steps', 1)))}"
        )
        write_card(out)
    elif isinstance(trained, RewardCheckpoint):
        for file in files(cfg):
            write_card(file)
    return trained


def next_command(out: Path, task: str, labelled_steps: int = 1) -> str:
    """Sentence with the next command for a model: plan with it, or, for a robot's own logs, export it.

    A model that learned from no labelled step can do neither.
    """
    if not labelled_steps:
        return "it knows no action, and cannot plan: record those of a few episodes, and train on both together"
    if task == CUSTOM:
        return f"make a bundle for the robot: {command_line('export', {'checkpoint': out})}"
    return f"plan with it: {plan_command(out, task)}"
