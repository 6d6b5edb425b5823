"""The overrides of the running command."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig


def words_of_command(path: str | Path) -> list[str]:
    """The overrides of the running command, which distinguish the user's settings from defaults.

    Raises:
      ValueError: no command is running.
    """
    if not HydraConfig.initialized():
        raise ValueError(
            f"{path} learned from rewards: outside of a command, call experiments.evaluation.rewards.measure.run or "
            "experiments.build.controller with its path and the settings"
        )
    return list(HydraConfig.get().overrides.task)
