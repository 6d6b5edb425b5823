"""Executed episodes as pictures: failures first, each with how far from its goal it ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..records.episodes import EpisodeRecord
from ..records.report import Report
from . import figures
from .markup import grid, legend, section

EPISODES, FANS = 8, 4  # number of pictured episodes


def failed_section(report: Report, model: Sequence[EpisodeRecord]) -> str:
    """Section of the model's failed episodes; empty if there are none, or if one episode is all there is."""
    failed = [episode for episode in model if not episode.success]
    if not failed or len(model) == 1:
        return ""
    shown = failed[:EPISODES]
    some = f"{len(shown)} of them" if len(shown) < len(failed) else "all of them" if len(failed) > 1 else "it"
    lead = f"{len(failed)} of {len(model)} recorded episodes failed; {some} here. {_marks(report)}"
    return section("Failed episodes", lead, grid(_pictures(report, shown)))


def reached_section(report: Report, model: Sequence[EpisodeRecord]) -> str:
    """Section of episodes that reached their goals; of the only one, whatever became of it."""
    reached = [episode for episode in model if episode.success] if len(model) > 1 else list(model)
    if not reached:
        return ""
    shown = reached[:EPISODES]
    lead = f"{len(shown)} of {len(reached)} episodes that reached their goals."
    if len(model) == 1:
        lead = "One recorded episode."
    return section("Start, goal and path", f"{lead} {_marks(report)}", grid(_pictures(report, shown)))


def imagined_section(report: Report, model: Sequence[EpisodeRecord]) -> str:
    """Section of imagined plans along the executed paths, failures first; empty without a view from above."""
    if report.scene is None:
        return ""
    fans = sorted((episode for episode in model if episode.imagined), key=lambda each: each.success)
    failed = sum(not episode.success for episode in fans)
    shown = [*fans[: min(failed, FANS // 2)], *fans[failed:]][:FANS]
    shown += fans[FANS // 2 : failed][: FANS - len(shown)]
    pictures = []
    for number, episode in enumerate(shown, 1):
        plans = f"{len(episode.imagined)} plan{'s' if len(episode.imagined) != 1 else ''}"
        label = f"Episode {number}: {plans}, as imagined, along the executed path."
        svg = figures.to_svg(figures.imagined(report.scene, episode), label)
        pictures.append(f"<figure>{svg}<figcaption>{_sign(episode)} {plans}</figcaption></figure>")
    lead = (
        "At each plan the model imagined where its actions would lead; a probe decodes the latents to positions, for "
        f"the eye only: training never saw it. {legend('imagined', 'executed', 'goal')}"
    )
    return section("Imagined against executed", lead, grid(pictures)) if pictures else ""


def _pictures(report: Report, episodes: Sequence[EpisodeRecord]) -> list[str]:
    pictures = []
    for number, episode in enumerate(episodes, 1):
        verdict = _verdict(report, episode)
        label = f"Episode {number}: path to the goal. {verdict}."
        if report.scene is None:
            drawn = figures.towards(episode, report.control_period)
        else:
            drawn = figures.executed(report.scene, episode)
        svg = figures.to_svg(drawn, label)
        pictures.append(f"<figure>{svg}<figcaption>{_sign(episode)} {verdict}</figcaption></figure>")
    return pictures


def _verdict(report: Report, episode: EpisodeRecord) -> str:
    seconds = f"{episode.steps * report.control_period:.1f}\u00a0s"
    if episode.success:
        return f"Reached in {seconds}"
    away, unit = _distances(episode)
    if away is None:
        return f"Not reached in {seconds}"
    return (
        f"Not reached in {seconds}: {away[0]:.2g}{unit} away at the start, {away.min():.2g}{unit} at the nearest, "
        f"{away[-1]:.2g}{unit} at the end"
    )


def _distances(episode: EpisodeRecord) -> tuple[np.ndarray | None, str]:
    """Distance to the goal over time: of the keypoint that stands for the body in metres, or of what was achieved."""
    if episode.keypoints is not None and episode.goal_keypoints is not None:
        return np.linalg.norm(episode.path - episode.goal_keypoints[-1], axis=-1), "\u00a0m"
    if episode.achieved is not None:
        return np.linalg.norm(episode.achieved - episode.goal, axis=-1), ""
    return None, ""


def _sign(episode: EpisodeRecord) -> str:
    return '<span class="ok">✓</span>' if episode.success else '<span class="bad">✗</span>'


def _marks(report: Report) -> str:
    if report.scene is None:
        return "Solid: what was achieved, over time; dashed: the goal."
    return legend("start", "end", "goal")
