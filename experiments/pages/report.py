"""The report page: one self-contained HTML file for a run, which needs no network.

Everything is inline: style, script, figures as SVG, the video in base64. A content security policy in the page itself
forbids anything else. All text is escaped, since names of datasets, paths and settings come from users.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from worldmodel.files import write_atomically

from ..records.findings import of_goals
from ..records.report import Report
from . import figures
from .dots import Dot, dots
from .episodes import failed_section, imagined_section, reached_section
from .frame import findings_section, manifest_section, next_section, page
from .health import health_findings, health_section
from .lines import Line, Point, lines
from .markup import (
    duration,
    finite,
    interval,
    milliseconds,
    notice,
    percent,
    section,
    table,
    whole,
)
from .provenance import made
from .scale import WIDE, Scale

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
    problems = [*of_goals([row for row in report.rows if row.get("task")]), *health_findings(report.health)]
    sections = [
        notice(report.notice),
        findings_section(problems),
        _keys(report) if report.rows else "",
        failed_section(report, model),
        _success(report.rows),
        reached_section(report, model),
        _video(report),
        imagined_section(report, model),
        _curves(report.history),
        _coverage(report),
        _results(report.rows),
        health_section(report.health),
        next_section(report.steps),
        manifest_section(report.manifest),
    ]
    line = made([report.manifest]) if "time" in report.manifest else ""
    return page(report.title, report.task, report.summary, sections, line)


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


def _success(rows: Sequence[Mapping[str, Any]]) -> str:
    """Success of each policy with its interval, as a picture."""
    drawn = []
    for row in rows:
        rate, low, high = (finite(row.get(key)) for key in ("success_rate", "ci_low", "ci_high"))
        policy = str(row.get("policy", ""))
        name, meaning = POLICIES.get(policy, (policy, ""))
        if rate is None:
            continue
        words = [f"{name}: {meaning}" if meaning else name, f"{percent(rate)} of {whole(row.get('episodes'))} goals"]
        words += [f"95\u00a0% interval {interval(row)}"] if interval(row) else []
        drawn.append(
            Dot(
                name=name,
                value=100 * rate,
                shown=percent(rate),
                text="\n".join(words),
                low=None if low is None else 100 * low,
                high=None if high is None else 100 * high,
                detail=meaning,
                kind="own" if policy == "model" else "",
            )
        )
    if not drawn:
        return ""
    chart = dots("", drawn, Scale(0.0, 100.0), "success, %")
    lead = "Dot: share of held-out goals reached; whisker: Wilson 95 % interval."
    return section("Does it reach its goals?", lead, f'<div class="plots one">{chart}</div>')


def _results(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ["policy", "success", "episodes", "p50 ms", "p95 ms", "p99 ms"]
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
            f'<td role="cell" class="number" data-label="episodes">{whole(row.get("episodes"))}</td>{times}</tr>'
        )
    caption = "Share of held-out goals reached, with Wilson 95 % interval. Times are of one planning step."
    return section("The rows", "", table(heads, body, caption)) if rows else ""


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


def _curves(history: Sequence[Mapping[str, Any]]) -> str:
    panels = []
    for key, (steps, values) in figures.histories(history).items():
        name, meaning = CURVES.get(key, (key, ""))
        reference = 1.0 if key == "horizon_ratio" else None
        points = [
            Point(step, value, f"{name}\nupdate {step:,.0f}\n{value:.4g}")
            for step, value in zip(steps, values, strict=True)
        ]
        across = Scale(0.0, 1.02 * max(*steps, 1.0))
        levels = values if reference is None else [*values, reference]
        drawn = [Line(name, tuple(points))]
        panels.append(
            lines(name, drawn, across, Scale.of(levels), "training updates", name, note=meaning, reference=reference)
        )
    lead = f"The vertical axis is logarithmic where a curve spans more than a factor of {WIDE:g}."
    return section("Learning curves", lead, f'<div class="plots three">{"".join(panels)}</div>') if panels else ""


def _coverage(report: Report) -> str:
    if not len(report.coverage) or report.scene is None:
        return ""
    label = "Map of the positions in the training data."
    svg = figures.to_svg(figures.coverage(report.scene, report.coverage), label)
    lead = (
        f"{len(report.coverage):,} positions from the rollouts; stronger colour: more visits, on a logarithmic scale."
    )
    return section("What the training data covered", lead, f'<figure class="coverage">{svg}</figure>')
