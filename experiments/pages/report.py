"""The report page: one self-contained HTML file for a run, which needs no network.

Everything is inline: style, script, figures as SVG, the video in base64. A content security policy in the page itself
forbids anything else. All text is escaped, since names of datasets, paths and settings come from users.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from worldmodel.files import write_atomically

from ..records.episodes import EpisodeRecord
from ..records.health import Health
from ..records.report import Report
from . import figures
from .markup import (
    duration,
    finite,
    grid,
    healthy_range,
    interval,
    legend,
    milliseconds,
    notice,
    percent,
    rate_bar,
    section,
    table,
    whole,
)

POLICIES = {
    "model": ("model", "plans with the learned world model"),
    "oracle": ("oracle", "same planner, encoder and cost, on the true dynamics"),
    "ceiling": ("ceiling", "true dynamics and the task’s own privileged cost"),
    "random": ("random", "uniform random actions"),
    "noop": ("no-op", "no action at all"),
}
CURVES = {
    "loss": ("Total loss", "what the optimiser minimises"),
    "prediction": ("Prediction", "error of imagined latents against encoded ones"),
    "sigreg": ("SIGReg", "distance of the latents from an isotropic Gaussian"),
    "inverse": ("Inverse dynamics", "error of the actions read back from two latents"),
    "distance": ("Temporal distance", "loss of the critic that counts the steps to a goal"),
    "horizon_ratio": ("Horizon error ratio", "below 1: better than predicting that nothing changes"),
}
EPISODES, FANS = 8, 4  # number of pictured episodes


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page to `path` and return it. The file appears complete or not at all; missing folders are created.

    Raises:
      OSError: the folder cannot be written or the disk is full; an earlier file at `path` is kept.
    """
    path = Path(path)
    write_atomically(path, render(report))
    return path


def render(report: Report) -> str:
    """Render the page as a string."""
    model = [episode for episode in report.episodes if episode.policy == "model"]
    sections = [
        notice(report.notice),
        _keys(report) if report.rows else "",
        _results(report.rows),
        _video(report),
        _episodes(report, model),
        _imagined(report, model),
        _curves(report.history),
        health_section(report.health),
        _coverage(report),
        commands_section(report.commands, report.commands_note),
        manifest_section(report.manifest),
    ]
    return page(report.title, report.task, report.summary, sections)


def page(title: str, task: str, summary: str, sections: Sequence[str]) -> str:
    """Assemble a page from sections of markup; empty ones are left out."""
    template = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        task=escape(task),
        summary=escape(summary),
        sections="\n".join(part for part in sections if part),
    )


def _keys(report: Report) -> str:
    """Headline figures, from the model's row."""
    row: Mapping[str, Any] = next((row for row in report.rows if row.get("policy") == "model"), {})
    success, seconds, parameters = (finite(row.get(key)) for key in ("success_rate", "train_seconds", "parameters"))
    p50, p99 = finite(row.get("plan_ms_p50")), finite(row.get("plan_ms_p99"))
    goals = f"of {whole(row.get('episodes'))} held-out goals; 95\u00a0% interval {interval(row) or '–'}"
    period = f"control period {1000 * report.control_period:g}\u00a0ms"
    keys = [
        (percent(success), "success", goals),
        (milliseconds(p50, "ms"), "planning step, p50", f"p99 {milliseconds(p99, 'ms')}; {period}"),
        (duration(seconds), "training time", "from random weights to this model"),
        (whole(parameters), "parameters", "encoder, predictor and heads"),
    ]
    items = (
        f'<div><dt>{name}</dt><dd class="value">{value}</dd><dd class="more">{more}</dd></div>'
        for value, name, more in keys
    )
    return f'<dl class="keys">{"".join(items)}</dl>'


def _results(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ["policy", "success", "", "episodes", "p50 ms", "p95 ms", "p99 ms"]
    body = []
    for row in rows:
        policy = str(row.get("policy", ""))
        name, meaning = POLICIES.get(policy, (policy, ""))
        plan_ms = {key: milliseconds(finite(row.get(f"plan_ms_{key}"))) for key in ("p50", "p95", "p99")}
        times = "".join(
            f'<td role="cell" class="number" data-label="{key} ms">{value}</td>' for key, value in plan_ms.items()
        )
        body.append(
            f'<tr role="row"{" class=model" if policy == "model" else ""}>'
            f'<th role="rowheader" scope="row">{escape(name)}<small>{escape(meaning)}</small></th>'
            f'<td role="cell" class="rate">{percent(finite(row.get("success_rate")))} '
            f"<small>{interval(row)}</small></td>"
            f'<td role="cell" class="chart">{rate_bar(row)}</td>'
            f'<td role="cell" class="number" data-label="episodes">{whole(row.get("episodes"))}</td>{times}</tr>'
        )
    caption = "Bars: share of held-out goals reached; whiskers: Wilson 95 % interval. Times are of one planning step."
    return section("Does it reach its goals?", "", table(heads, body, caption)) if rows else ""


def _video(report: Report) -> str:
    note = f'<p class="note">{escape(report.video_note)}</p>' if report.video_note else ""
    if report.video is None:
        return section("On video", "", note) if note else ""
    source = base64.b64encode(report.video).decode()
    player = (
        '<video autoplay muted loop playsinline controls aria-label="Executed episodes side by side" '
        f'src="data:video/mp4;base64,{source}"></video>'
    )
    borders = '<p class="note">Green border: the goal was reached. Red, dashed border: it was not.</p>'
    figure = f'<figure class="film">{player}<figcaption>{borders}{note}</figcaption></figure>'
    return section("On video", "", figure)


def _episodes(report: Report, model: Sequence[EpisodeRecord]) -> str:
    shown = _pick(model, EPISODES)
    pictures = []
    for number, episode in enumerate(shown, 1):
        seconds = f"{episode.steps * report.control_period:.1f}\u00a0s"
        verdict = f"Reached in {seconds}" if episode.success else f"Not reached in {seconds}"
        label = f"Episode {number}: path to the goal. {verdict}."
        if report.scene is None:
            drawn = figures.towards(episode, report.control_period)
        else:
            drawn = figures.executed(report.scene, episode)
        svg = figures.to_svg(drawn, label)
        mark = '<span class="ok">✓</span>' if episode.success else '<span class="bad">✗</span>'
        pictures.append(f"<figure>{svg}<figcaption>{mark} {verdict}</figcaption></figure>")
    failures = sum(not episode.success for episode in shown)
    marks = legend("start", "end", "goal")
    if report.scene is None:
        marks = "Solid: what was achieved, over time; dashed: the goal."
    lead = f"{len(shown)} of {len(model)} recorded episodes, {failures} of them failures. {marks}"
    if len(model) == 1:
        lead = f"One recorded episode. {marks}"
    return section("Start, goal and path", lead, grid(pictures)) if pictures else ""


def _imagined(report: Report, model: Sequence[EpisodeRecord]) -> str:
    if report.scene is None:
        return ""
    shown = _pick([episode for episode in model if episode.imagined], FANS)
    pictures = []
    for number, episode in enumerate(shown, 1):
        plans = f"{len(episode.imagined)} plan{'s' if len(episode.imagined) != 1 else ''}"
        label = f"Episode {number}: {plans}, as imagined, along the executed path."
        svg = figures.to_svg(figures.imagined(report.scene, episode), label)
        pictures.append(f"<figure>{svg}<figcaption>{plans}</figcaption></figure>")
    lead = (
        "At each plan the model imagined where its actions would lead; a probe decodes the latents to positions, for "
        f"the eye only: training never saw it. {legend('imagined', 'executed', 'goal')}"
    )
    return section("Imagined against executed", lead, grid(pictures)) if pictures else ""


def _curves(history: Sequence[Mapping[str, Any]]) -> str:
    panels = []
    for key, (steps, values) in figures.histories(history).items():
        name, meaning = CURVES.get(key, (key, ""))
        figure = figures.curve(steps, values, reference=1.0 if key == "horizon_ratio" else None)
        svg = figures.to_svg(figure, f"{name} over training updates, from {values[0]:.3g} to {values[-1]:.3g}.")
        panels.append(f"<figure><figcaption><b>{escape(name)}</b>{escape(meaning)}</figcaption>{svg}</figure>")
    lead = "Over training updates; the vertical axis is logarithmic where a curve spans more than a factor of 20."
    return section("Learning curves", lead, grid(panels, "wide")) if panels else ""


def health_section(health: Sequence[Health]) -> str:
    """Section of figures with their healthy ranges, and the fixes for those outside."""
    body = []
    for item in health:
        verdict = '<span class="ok">✓ healthy</span>' if item.ok else '<span class="bad">! outside</span>'
        verdict = verdict if item.bounded else ""
        value = f"{item.value:,.4g}" if finite(item.value) is not None else "not finite"
        fix = f" <b>Try: {escape(item.mend)}.</b>" if item.mend and not item.ok else ""
        body.append(
            f'<tr role="row"><th role="rowheader" scope="row">{escape(item.name)}</th>'
            f'<td role="cell" class="number" data-label="value">{value}</td>'
            f'<td role="cell" class="number" data-label="healthy">{healthy_range(item)}</td>'
            f'<td role="cell" class="verdict">{verdict}</td>'
            f'<td role="cell" class="meaning"><small>{escape(item.meaning)}{fix}</small></td></tr>'
        )
    ranged = [item for item in health if item.bounded]
    outside, judged = sum(not item.ok for item in ranged), len(ranged)
    lead = f"{outside} of {judged} outside the healthy range." if outside else "All are in their healthy range."
    heads = ["figure", "value", "healthy", "", "what it tells"]
    return section("Is the representation healthy?", lead, table(heads, body)) if health else ""


def _coverage(report: Report) -> str:
    if not len(report.coverage) or report.scene is None:
        return ""
    label = "Map of the positions in the training data."
    svg = figures.to_svg(figures.coverage(report.scene, report.coverage), label)
    lead = (
        f"{len(report.coverage):,} positions from the rollouts; stronger colour: more visits, on a logarithmic scale."
    )
    return section("What the training data covered", lead, f'<figure class="coverage">{svg}</figure>')


def commands_section(commands: Sequence[str], note: str = "") -> str:
    """Section of commands with a copy button, and the notes to read before running them."""
    blocks = (f'<div class="command"><pre><code>{escape(command)}</code></pre></div>' for command in commands)
    return section("Plan again", escape(note), "".join(blocks)) if commands else ""


def manifest_section(manifest: Mapping[str, Any]) -> str:
    """Section with the collapsed manifest."""
    text = json.dumps(manifest, indent=2, default=str, ensure_ascii=False)
    lead = "Versions, device, configuration and seeds that made these figures."
    body = f"<details><summary>Show the manifest</summary><pre>{escape(text)}</pre></details>"
    return section("How this was made", lead, body)


def _pick(episodes: Sequence[EpisodeRecord], count: int) -> list[EpisodeRecord]:
    """Pick at most `count` episodes in order, up to half of them failures, which are more informative."""
    successes = [index for index, episode in enumerate(episodes) if episode.success]
    failures = [index for index, episode in enumerate(episodes) if not episode.success]
    room = max(count - len(successes), min(len(failures), count // 2))
    failures = failures[:room]
    return [episodes[index] for index in sorted(failures + successes[: count - len(failures)])]
