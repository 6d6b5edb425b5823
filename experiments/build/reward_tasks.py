"""The action repeat of the reward task in the settings."""

from __future__ import annotations

from omegaconf import DictConfig

from envs.registry import usual_action_repeat


def action_repeat(cfg: DictConfig) -> int:
    """Control steps in one decision: those of the settings, or the usual number for the task."""
    repeat = cfg.online.action_repeat
    return usual_action_repeat(str(cfg.task.name)) if repeat is None else int(repeat)
