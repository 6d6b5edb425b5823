"""Faults of a video beside its log: dropped and repeated frames, and pictures of one colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from .alignment import Alignment
from .reel import Reel

MOST_DROPPED = 0.1  # of the frames within a log
MOST_REPEATED = 0.5  # of the new frames after an action
FEW_REPEATED = 0.05  # up to this share nothing is said: slow motion may not survive compression
_MOVING = 0.01  # of an action's range, away from rest: smaller actions need not move anything


def check(reel: Reel, aligned: Alignment, actions: ndarray, bounds: tuple[Any, Any]) -> str:
    """Return what is to be noted about a video as part of a sentence; "" where nothing is.

    Args:
      reel: the video.
      aligned: its frames by rows of the log.
      actions: [N-1, A], of the log.
      bounds: of the actions, lowest and highest, [A] each.

    Raises:
      ValueError: more dropped or repeated frames than a model could learn from, or nothing but one colour.
    """
    used = np.unique(aligned.frames)
    blank = int(reel.one_colour[used].sum())
    if blank == len(used):
        raise ValueError(
            f"{reel.path} shows one colour in all of its pictures: see whether the lens was covered, or leave the "
            "episode out"
        )
    frames = len(used) + aligned.dropped
    if aligned.dropped > MOST_DROPPED * frames:
        raise ValueError(
            f"{reel.path} lacks {aligned.dropped} of {frames} frames, by the gaps between them: record with fewer "
            f"drops (up to {MOST_DROPPED:.0%} are accepted), or cut the log at the longest gap"
        )
    repeated, pairs = _repeated(reel, aligned.frames, actions, bounds)
    if repeated > MOST_REPEATED * pairs:
        raise ValueError(
            f"{reel.path} repeats the frame before in {repeated} of {pairs} steps with an action: see whether the "
            "camera hung, or write each frame once, with its own time stamp"
        )
    notes = [
        aligned.note,
        f"lacks {_counted(aligned.dropped, 'frame')} of {frames}, in whose place older ones are taken"
        if aligned.dropped
        else "",
        f"repeats the frame before in {repeated} of {pairs} steps with an action"
        if repeated > FEW_REPEATED * pairs
        else "",
        f"shows one colour in {_counted(blank, 'picture')} of {len(used)}" if blank else "",
    ]
    return ", ".join(filter(None, notes))


def _repeated(reel: Reel, frames: ndarray, actions: ndarray, bounds: tuple[Any, Any]) -> tuple[int, int]:
    """Count the steps with an action after which a new frame is the same as the last, and all with a new frame."""
    low, high = (np.asarray(bound, np.float64) for bound in bounds)
    away = np.abs(actions - np.clip(0.0, low, high)) > _MOVING * (high - low)
    new = away.any(axis=1) & (np.diff(frames) > 0)
    same = reel.digests[frames[1:]] == reel.digests[frames[:-1]]
    return int((new & same).sum()), int(new.sum())


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
