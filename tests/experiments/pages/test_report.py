import dataclasses
import errno
import os
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from envs.task import Scene
from experiments.pages import figures, video
from experiments.pages.report import render, write_report
from experiments.pages.scale import Scale
from experiments.records.episodes import EpisodeRecord
from experiments.records.health import Health
from experiments.records.report import Report

FOLDER = Path(figures.__file__).parent
ROOMS = Scene((-1.0, -1.0), (1.0, 1.0), ((0.0, 0.6, 0.05, 0.4), (0.0, -0.6, 0.05, 0.4)), 0.05)
ARM = Scene((-1.0, -1.0), (1.0, 1.0), (), 0.05, (0.0, 0.0))
HOSTILE = "</script></title><img src=x onerror='window.hit=1'>\"&$title${x}`" + "very_long_name" * 20


def episode(rng, success, joints=1, steps=20):
    keypoints = rng.uniform(-0.6, 0.6, (1, joints, 2)) + np.linspace(0, 0.3, steps + 1)[:, None, None]
    plans = tuple((step, keypoints[step : step + 6, -1] + 0.02) for step in (0, 5, 10))
    goal = keypoints[-1] if success else -keypoints[-1]
    return EpisodeRecord("model", success, keypoints, goal, keypoints.reshape(steps + 1, -1), goal.ravel(), plans)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    episodes = [episode(rng, success=index % 3 != 2) for index in range(12)]
    frames = video.draw(ROOMS, episodes[0].keypoints, episodes[0].goal_keypoints, 48)
    rows = [
        {"policy": "model", "success_rate": 0.97, "ci_low": 0.915, "ci_high": 0.99, "episodes": 100}
        | {
            "plan_ms_p50": 8.12,
            "plan_ms_p95": 10.4,
            "plan_ms_p99": 1333.0,
            "train_seconds": 161.2,
            "parameters": 812345,
        },
        {"policy": "oracle", "success_rate": 1.0, "ci_low": 0.72, "ci_high": 1.0, "episodes": 10, "plan_ms_p50": 612.0},
        {"policy": "noop", "success_rate": 0.0, "ci_low": 0.0, "ci_high": 0.04, "episodes": 100, "plan_ms_p50": None},
    ]
    history = [
        {"step": step, "prediction": np.exp(-step / 900), "sigreg": 1 + step / 4000} for step in range(0, 4000, 99)
    ]
    history[3] |= {"horizon_ratio": 0.9, "sigreg": float("nan"), "inverse": None}
    health = [Health("rank", 18.0, 8.0, None, "Directions in use."), Health("dead", 9.0, None, 3.0, "Idle ones.")]
    return Report(
        title="Two rooms",
        task="two_room",
        summary="A sentence.",
        rows=rows,
        history=history,
        health=health,
        scene=ROOMS,
        episodes=episodes,
        coverage=rng.uniform(-0.9, 0.9, (500, 2)),
        video=video.encode(video.tile([frames, frames], [True, False]), fps=20),
        video_note="Drawn in 2D.",
        manifest={"versions": {"jax": "0"}, "seeds": [0]},
        steps=[("Plan again", "jepa-mpc plan checkpoint=here"), ("More", "jepa-mpc plan checkpoint=here seed=1")],
        control_period=0.05,
    )


def test_page_opens_without_complaint_and_without_network(chromium, sample, tmp_path):
    path = write_report(tmp_path / "run" / "report.html", sample)
    chromium.open(path)
    assert chromium.problems == []
    assert [url for url in chromium.requests if not url.startswith("data:")] == [path.as_uri()]
    assert path.stat().st_size < 6e6
    assert chromium.evaluate("document.querySelectorAll('svg[role=img]:not([aria-label])').length") == 0
    assert (
        chromium.evaluate(
            "[...document.querySelectorAll('[id]')].map(e => e.id).filter((x, i, all) => all.indexOf(x) < i)"
        )
        == []
    )
    headings = chromium.evaluate("[...document.querySelectorAll('h2')].map(e => e.textContent)")
    assert headings == [
        "What is wrong",
        "Failed episodes",
        "Does it reach its goals?",
        "Start, goal and path",
        "On video",
        "Imagined against executed",
        "Learning curves",
        "What the training data covered",
        "The rows",
        "Is the representation healthy?",
        "What to do next",
        "How this was made",
    ]


def test_a_page_of_an_unfinished_model_says_so_first(chromium, sample, tmp_path):
    preview = dataclasses.replace(sample, rows=[], health=[], video=None, video_note="", steps=[], notice=HOSTILE)
    preview = dataclasses.replace(preview, episodes=sample.episodes[:1], coverage=np.zeros((0, 2)))
    chromium.open(write_report(tmp_path / "report.html", preview), width=390)
    assert chromium.problems == [] and chromium.overlaps() == []
    assert chromium.evaluate("document.querySelector('header').nextElementSibling.textContent") == HOSTILE
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 390
    headings = chromium.evaluate("[...document.querySelectorAll('h2')].map(e => e.textContent)")
    assert headings == ["Start, goal and path", "Imagined against executed", "Learning curves", "How this was made"]
    assert chromium.evaluate("document.querySelector('.keys')") is None, "nothing is measured yet"
    assert 'role="note"' not in render(sample), "the final page has no notice"


def test_page_cannot_be_made_to_use_the_network(chromium, sample, tmp_path):
    chromium.open(write_report(tmp_path / "report.html", sample))
    blocked = "fetch('http://127.0.0.1:9/').then(() => 'sent', error => 'blocked')"
    assert chromium.evaluate(blocked) == "blocked"
    assert any("Content Security Policy" in problem for problem in chromium.problems)


def test_video_plays_in_the_page(chromium, sample, tmp_path):
    chromium.open(write_report(tmp_path / "report.html", sample))
    playing = """new Promise((done, failed) => {
        const video = document.querySelector("video");
        video.scrollIntoView(); // a browser plays none that is out of sight
        const fail = () => failed(new Error(video.error.message));
        if (video.error) fail();
        video.addEventListener("error", fail);
        const check = () => { if (video.currentTime > 0) done(video.duration); };
        video.addEventListener("timeupdate", check);
        check();
    })"""
    assert chromium.evaluate(playing) == pytest.approx((21 + 10) / 20, abs=0.06)
    assert chromium.evaluate("(v => v.muted && v.loop && v.controls)(document.querySelector('video'))")


@pytest.mark.parametrize("width", [390, 360])
@pytest.mark.parametrize("hostile", [False, True])
def test_narrow_page_does_not_scroll_sideways(chromium, sample, tmp_path, width, hostile):
    chromium.open(write_report(tmp_path / "report.html", spoil(sample) if hostile else sample), width=width)
    assert chromium.evaluate("innerWidth") == width
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        chromium.evaluate(
            "Math.max(...[...document.querySelectorAll('main *')].map(e => e.getBoundingClientRect().right))"
        )
        <= width
    )


@pytest.mark.parametrize("width", [390, 360, 768])
@pytest.mark.parametrize("hostile", [False, True])
def test_nothing_is_printed_over_another_thing(chromium, sample, tmp_path, width, hostile):
    chromium.open(write_report(tmp_path / "report.html", spoil(sample) if hostile else sample), width=width)
    assert chromium.overlaps() == []


def test_figures_follow_the_theme(chromium, sample, tmp_path):
    path = write_report(tmp_path / "report.html", sample)
    probe = """[getComputedStyle(document.body).backgroundColor,
                getComputedStyle(document.querySelector(".lines .axis span")).color]"""
    chromium.open(path, dark=False)
    light = chromium.evaluate(probe)
    chromium.open(path, dark=True)
    dark = chromium.evaluate(probe)
    assert light[0] == "rgb(255, 255, 255)" and dark[0] == "rgb(15, 19, 25)"
    assert light[1] == "rgb(91, 102, 117)" and dark[1] == "rgb(156, 167, 182)"


def spoil(report):
    """The same report with a hostile name wherever a name can stand."""
    return dataclasses.replace(
        report,
        title=HOSTILE,
        task=HOSTILE,
        summary=HOSTILE,
        rows=[*report.rows, {"policy": HOSTILE, "success_rate": 0.5, "episodes": HOSTILE}],
        history=[{"step": step, HOSTILE: step + 1.0} for step in range(3)],
        health=[Health(HOSTILE, 1.0, 0.0, 2.0, HOSTILE)],
        video_note=HOSTILE,
        manifest={HOSTILE: HOSTILE},
        steps=[(HOSTILE, HOSTILE)],
    )


def test_hostile_names_are_text(chromium, sample, tmp_path):
    chromium.open(write_report(tmp_path / "report.html", spoil(sample)))
    assert chromium.problems == []
    assert chromium.evaluate("document.title") == HOSTILE
    assert chromium.evaluate("document.querySelector('h1').textContent") == HOSTILE
    assert chromium.evaluate("document.querySelector('.command code').textContent") == HOSTILE
    assert chromium.evaluate("document.querySelectorAll('main img').length + (window.hit || 0)") == 0
    assert chromium.evaluate("document.querySelectorAll('tbody th').length") == 5


def test_page_says_what_was_measured(sample):
    page = render(sample).replace("\u00a0", " ")
    for figure in (
        "97 %",
        "8.1 ms",
        "2 min 41 s",
        "812,345",
        "92 to 99 %",
        "1,333",
        "612",
        "0 to 4 %",
        "control period 50 ms",
    ):
        assert figure in page
    assert "4 of 12 recorded episodes failed; all of them here" in page
    assert "8 of 8 episodes that reached their goals" in page
    assert page.count("Not reached in 1.0 s: ") == 8 and page.count("> Reached in 1.0 s</figcaption>") == 8
    assert page.count(" 3 plans<") == 4
    assert "1 of 2 outside the healthy range" in page and "dead is 9, and ≤ 3 is healthy" in page
    assert page.count('class="lane') == 3 and page.count('class="lane own"') == 1


@pytest.mark.parametrize(("successes", "failures"), [(9, 0), (9, 2), (9, 9), (1, 9), (0, 3)])
def test_failures_come_before_successes(sample, successes, failures):
    won, lost = sample.episodes[0], sample.episodes[2]
    page = render(dataclasses.replace(sample, episodes=[won] * successes + [lost] * failures))
    parts = re.split(r"<h2>(.*?)</h2>", page)
    pictures = {name: body.count("<figure>") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    assert pictures.get("Failed episodes", 0) == min(8, failures)
    assert pictures.get("Start, goal and path", 0) == min(8, successes)
    if failures and successes:
        assert page.index("Failed episodes") < page.index("Start, goal and path")
        assert f"{failures} of {successes + failures} recorded episodes failed" in page


def test_values_show_at_the_pointer_and_for_the_keyboard(chromium, sample, tmp_path):
    chromium.open(write_report(tmp_path / "report.html", sample))
    assert chromium.evaluate("document.querySelectorAll('.mark:not([aria-label])').length") == 0
    charts = chromium.evaluate("document.querySelectorAll('.chart[tabindex=\"0\"]').length")
    assert charts == 1 + len(figures.histories(sample.history))
    chromium.evaluate("document.querySelector('.chart.lines').focus()")
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        chromium("Input.dispatchKeyEvent", type="keyDown", key=key)
        seen.append(chromium.evaluate("document.getElementById('tip').textContent"))
    assert seen[0] == seen[2] == "Prediction\nupdate 0\n1" and seen[1].startswith("Prediction\nupdate 99\n0.8958")
    chromium("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert chromium.evaluate("document.getElementById('tip').hidden")
    chromium.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    chromium.evaluate("document.querySelector('.lane.own').scrollIntoView({block: 'center'})")
    chromium.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    spot = chromium.evaluate(
        "(box => [box.x + box.width / 2, box.y + box.height / 2])"
        "(document.querySelector('.lane.own .dot').getBoundingClientRect())"
    )
    chromium("Input.dispatchMouseEvent", type="mouseMoved", x=spot[0], y=spot[1])
    shown = chromium.evaluate("[document.getElementById('tip').hidden, document.getElementById('tip').textContent]")
    assert shown[0] is False and "97" in shown[1] and "92 to 99" in shown[1]


COLOURS = r"--(\w+): (#[0-9a-f]{6})"


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_and_lines_stand_out_in_both_themes():
    """At least 4.5 to 1 for text and 3 to 1 for what is drawn: WCAG 2.2, criteria 1.4.3 and 1.4.11."""
    light, dark = re.findall(r":root \{(.*?)\}", (FOLDER / "report.html").read_text(), flags=re.S)[:2]
    for block in (light, dark):
        colours = dict(re.findall(COLOURS, block))
        for ground in ("page", "surface"):
            for name in ("ink", "muted", "accent", "good", "bad"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for name in (f"s{number}" for number in range(7)):
            assert contrast(colours[name], colours["page"]) >= 3, name


def test_absent_figures_are_dashes_and_empty_parts_are_left_out(sample):
    bare = dataclasses.replace(
        sample, rows=[{"policy": "model", "success_rate": float("nan"), "episodes": None}], history=[], health=[],
        episodes=[], coverage=np.zeros((0, 2)), video=None, video_note="There is no video.", steps=[], manifest={},
    )  # fmt: skip
    page = render(bare)
    assert '<dd class="value">–</dd>' in page and "nan" not in page and "None" not in page
    assert "There is no video." in page and "<video" not in page
    assert "Learning curves" not in page and "Start, goal and path" not in page


def test_arms_and_wide_scenes_are_drawn(sample):
    rng = np.random.default_rng(1)
    arm = episode(rng, True, joints=2)
    postures = figures.to_svg(figures.executed(ARM, arm), "arm")
    free = figures.to_svg(figures.executed(dataclasses.replace(ARM, root=None), arm), "arm")
    assert postures.count("stroke: var(--ink)") == free.count("stroke: var(--ink)") + 4
    still = figures.to_svg(figures.executed(ROOMS, episode(rng, True, steps=0)), "over before it began")
    assert still.endswith("</svg>")
    wide = figures.to_svg(figures.coverage(Scene((0.0, 0.0), (4.0, 1.0), (), 0.1), np.array([[1.0, 0.5]])), "wide")
    assert 'aria-label="wide"' in wide and "http" not in wide
    assert figures.to_png(figures.coverage(ROOMS, sample.coverage, figures.PRINT)).startswith(b"\x89PNG")


@pytest.mark.parametrize("backwards", [False, True])
def test_places_to_hover_over_lie_where_the_data_are(backwards):
    figure = Figure(figsize=(2, 1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(10, 0) if backwards else (0, 10))
    places = [figures.Hover(axes, 5.0, 2.5, HOSTILE, (2.0, 1.0)), figures.Hover(axes, 10.0, 10.0, "corner")]
    svg = figures.to_svg(figure, "places", places)
    top = 14.4 if backwards else 50.4  # points from the top of 72
    assert f'<rect class="hit" x="57.6" y="{top}" width="28.8" height="7.2"/>' in svg
    assert f'<circle class="hit" cx="144.0" cy="{72.0 if backwards else 0.0}" r="8"/>' in svg
    assert HOSTILE not in svg and escape(HOSTILE) in svg and svg.endswith("</svg>") and 'role="group"' in svg


def test_curves_skip_what_is_no_number(sample):
    curves = figures.histories(sample.history)
    assert list(curves) == ["prediction", "sigreg", "horizon_ratio"]
    assert len(curves["prediction"][0]) == len(sample.history) and len(curves["sigreg"][0]) == len(sample.history) - 1
    assert curves["horizon_ratio"] == ([297.0], [0.9])
    assert Scale.of(curves["prediction"][1]).log and not Scale.of(curves["sigreg"][1]).log


@pytest.mark.parametrize(
    ("value", "low", "high", "ok"),
    [
        (1.0, 1.0, 2.0, True),
        (2.0, 1.0, 2.0, True),
        (0.9, 1.0, None, False),
        (3.0, None, 2.0, False),
        (np.nan, None, None, False),
    ],
)
def test_health_range_includes_its_ends_and_no_nan(value, low, high, ok):
    assert Health("x", value, low, high, "").ok is ok


def test_a_full_disk_leaves_the_old_page_and_nothing_else(sample, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("the old page")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(path, sample)
    assert path.read_text() == "the old page"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_picture_of_coverage_tells_what_lies_outside_of_it():
    inside = np.zeros((3, 2))

    def words(positions):
        return " ".join(
            text.get_text() for text in figures.coverage_alone("two_room: coverage", ROOMS, positions).texts
        )

    assert words(inside) == "two_room: coverage 3 positions, seen from above"
    assert words(np.vstack([inside, [[5.0, 0.0]]])).endswith("4 positions, seen from above; 25.0% outside")
