"""Outcomes of a row's episodes, stored batch by batch, so that an interrupted run resumes where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envs import Task
from worldmodel.files import write_atomically

from ...evaluation.goals.protocols import Pairs
from ...evaluation.goals.rollout import GoalEpisodes, run_episodes
from ...evaluation.policy import Policy


def outcomes(
    task: Task,
    policy: Policy[GoalEpisodes],
    pairs: Pairs,
    size: int,
    path: Path,
    settings: str,
    progress: Callable[[int, int], None],
    eyes: Any = None,
) -> list[bool]:
    """Whether each episode succeeds; `path` is written after each batch of `size` episodes that advance together.

    The outcome of an episode does not depend on the others, and hence not on where a run was interrupted. A file with
    other `settings` is ignored. The caller removes it once the row is written. `eyes` is the model that embeds
    pictures.
    """
    solved = _stored(path, settings)[: len(pairs)]
    while len(solved) < len(pairs):
        progress(len(solved), len(pairs))
        records = run_episodes(task, policy, pairs.part(len(solved), len(solved) + size), model=eyes)
        solved += [record.success for record in records]
        write_atomically(path, json.dumps({"settings": settings, "solved": solved}))
    progress(len(pairs), len(pairs))
    return solved


def _stored(path: Path, settings: str) -> list[bool]:
    try:
        stored = json.loads(path.read_text())
        return [bool(each) for each in stored["solved"]] if stored["settings"] == settings else []
    except (OSError, ValueError, KeyError, TypeError):  # missing or unusable
        return []
