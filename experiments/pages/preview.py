"""The report page while the model is still being trained: its first planned episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import envs
from envs.task import PlanarView

from ..records.episodes import EpisodeRecord
from ..records.report import Report


def preview_report(
    task: envs.Task,
    episode: EpisodeRecord,
    notice: str,
    history: Sequence[Mapping[str, Any]],
    made: Mapping[str, Any],
) -> Report:
    """Page of one episode that an unfinished model has planned.

    Args:
      task: of the episode.
      episode: that was planned.
      notice: what the reader has to know about the model.
      history: learning curves so far.
      made: manifest.
    """
    return Report(
        title=f"jepa-mpc: {task.name}",
        task=task.name,
        summary="The first planned episode of a world model that is still being trained.",
        rows=[],
        history=history,
        health=[],
        scene=task.scene() if isinstance(task, PlanarView) else None,
        episodes=[episode],
        coverage=np.zeros((0, 2)),
        video=None,
        video_note="",
        manifest=made,
        steps=[],
        control_period=task.control_period,
        notice=notice,
    )


def outcome(task: envs.Task, episode: EpisodeRecord) -> str:
    """What happened in an episode, as the end of a sentence: reached the goal after N steps, or how far from it."""
    begin, end, unit = _distances(task, episode)
    if episode.success:
        return f"reached its goal, {begin:.2g}{unit} away, after {episode.steps} steps"
    return (
        f"did not reach its goal in {episode.steps} steps: {begin:.2g}{unit} away at the start, "
        f"{end:.2g}{unit} at the end"
    )


def _distances(task: envs.Task, episode: EpisodeRecord) -> tuple[float, float, str]:
    """Distance to the goal at the start and at the end, and its unit: metres where the task is seen from above."""
    if episode.keypoints is not None and episode.goal_keypoints is not None:
        away = np.linalg.norm(episode.path - episode.goal_keypoints[-1], axis=-1)
        return float(away[0]), float(away[-1]), " m"
    away = np.linalg.norm(task.achieved_goal(episode.states) - episode.goal, axis=-1)
    return float(away[0]), float(away[-1]), ""
