"""Learning curves for pages, a chart for each task: each point has its values at the pointer and for the keyboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..pages.lines import Line, Point, key, lines
from ..pages.scale import Scale, number
from ..records.curves import MeanCurve, Run
from .published import SUITE, PublishedScore, published_name
from .tables import short

LABELS = {"env_steps": "environment steps", "gradient_steps": "gradient steps", "wall_s": "seconds of training"}
RETURNS = Scale(-20.0, 1020.0)  # of DeepMind Control


def charts(runs: Sequence[Run], published: Sequence[PublishedScore], axis: str) -> tuple[str, list[str]]:
    """Legend, and a chart of each task against one of `LABELS`; empty if no run recorded that axis.

    Args:
      runs: measured ones.
      published: scores to draw beside them, against environment steps only.
      axis: attribute of the runs to draw against.
    """
    known = [run for run in runs if all(map(math.isfinite, getattr(run, axis)))]
    if not known:
        return "", []
    scores = published if axis == "env_steps" else ()
    styles = {name: place for place, name in enumerate(dict.fromkeys(run.method for run in runs))}
    quoted = {name: place for place, name in enumerate(dict.fromkeys(score.method for score in scores))}
    drawn, shown = [], set()
    for task in dict.fromkeys(run.task for run in known):
        own = [run for run in known if run.task == task]
        end = max(float(getattr(run, axis)[-1]) for run in own)
        beside = [score for score in scores if score.task == published_name(task) and score.step <= end]
        shown |= {score.method for score in beside}
        found = [*_published(beside, quoted), *_measured(own, axis, styles)]
        across = Scale(0.0, 1.04 * max(end, 1e-9))
        heights = [point.y for line in found for point in line.points]
        up = RETURNS if task.startswith(SUITE) else Scale.of(heights)
        drawn.append(lines(short(task), found, across, up, LABELS[axis], "return"))
    methods = dict.fromkeys(run.method for run in known)
    names = {name: (styles[name], False) for name in methods}
    names |= {f"{name}, published": (place, True) for name, place in quoted.items() if name in shown}
    return key(names), drawn


def _measured(runs: Sequence[Run], axis: str, styles: dict[str, int]) -> list[Line]:
    found = []
    for method in dict.fromkeys(run.method for run in runs):
        own = [run for run in runs if run.method == method]
        label = f"{method}, seed {own[0].seed}" if len(own) == 1 else f"{method}, mean of {len(own)} seeds"
        curve: Any = own[0] if len(own) == 1 else MeanCurve.of(own)
        if len(own) > 1:
            found += [
                Line(method, _points(run, axis, f"{method}, seed {run.seed}"), styles[method], faint=True)
                for run in own
            ]
        found.append(Line(method, _points(curve, axis, label), styles[method]))
    return found


def _points(curve: Any, axis: str, label: str) -> tuple[Point, ...]:
    points = []
    for place in range(len(curve.env_steps)):
        low, high = (
            (float(curve.low[place]), float(curve.high[place])) if isinstance(curve, MeanCurve) else (None, None)
        )
        words = [label, f"return {number(curve.returns[place])}"]
        if low is not None and high is not None:
            words[-1] += f" ({number(low)} to {number(high)})"
        words += [
            f"{number(float(getattr(curve, name)[place]))} {unit}"
            for name, unit in LABELS.items()
            if math.isfinite(getattr(curve, name)[place])
        ]
        across = float(getattr(curve, axis)[place])
        points.append(Point(across, float(curve.returns[place]), "\n".join(words), low, high))
    return tuple(points)


def _published(scores: Sequence[PublishedScore], styles: dict[str, int]) -> list[Line]:
    found = []
    for method in dict.fromkeys(score.method for score in scores):
        own = sorted((score for score in scores if score.method == method), key=lambda score: score.step)
        points = tuple(
            Point(
                float(score.step),
                score.mean,
                f"{method}, published, not measured here\nreturn {number(score.mean)}\n"
                f"{number(score.step)} environment steps"
                + ("" if score.n_seeds is None else f"\n{score.n_seeds} seeds"),
            )
            for score in own
        )
        found.append(Line(method, points, styles[method], quoted=True))
    return found
