"""The reward task of the settings, and how many control steps one decision of it lasts."""

from __future__ import annotations

from omegaconf import DictConfig

from envs.registry import usual_action_repeat


def action_repeat(cfg: DictConfig) -> int:
    """Control steps of one decision: those of the settings, or what is usual for the task."""
    repeat = cfg.online.action_repeat
    return usual_action_repeat(str(cfg.task.name)) if repeat is None else int(repeat)
