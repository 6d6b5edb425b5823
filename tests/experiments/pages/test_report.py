import dataclasses
import errno
import os

import numpy as np
import pytest

from envs.task import Scene
from experiments.pages import figures, video
from experiments.pages.report import render, write_report
from experiments.records.episodes import EpisodeRecord
from experiments.records.health import Health
from experiments.records.report import Report

from .. import browser

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
        commands=["jepa-mpc plan checkpoint=here", "jepa-mpc plan checkpoint=here seed=1"],
        control_period=0.05,
    )


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    executable = browser.find()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    page = browser.Browser(executable, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


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
    assert len(headings) == 9 and "Learning curves" in headings


def test_a_page_of_an_unfinished_model_says_so_first(chromium, sample, tmp_path):
    preview = dataclasses.replace(sample, rows=[], health=[], video=None, video_note="", commands=[], notice=HOSTILE)
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
                getComputedStyle(document.querySelector(".grid.wide text")).fill]"""
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
        commands=[HOSTILE],
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
    assert "8 of 12 recorded episodes, 4 of them failures" in page
    assert page.count("Not reached in 1.0 s</figcaption>") == 4 and page.count("> Reached in 1.0 s</figcaption>") == 4
    assert page.count(">3 plans<") == 4
    assert "1 of 2 outside the healthy range" in page
    assert page.count('<rect class="bar"') == 3


@pytest.mark.parametrize(
    ("successes", "failures", "failures_shown"), [(9, 0, 0), (9, 2, 2), (9, 9, 4), (1, 9, 7), (0, 3, 3)]
)
def test_failures_are_shown_but_at_most_half_where_there_is_a_choice(sample, successes, failures, failures_shown):
    won, lost = sample.episodes[0], sample.episodes[2]
    page = render(dataclasses.replace(sample, episodes=[lost] * failures + [won] * successes))
    shown = min(8, successes + failures)
    assert f"{shown} of {successes + failures} recorded episodes, {failures_shown} of them failures" in page


def test_absent_figures_are_dashes_and_empty_parts_are_left_out(sample):
    bare = dataclasses.replace(
        sample, rows=[{"policy": "model", "success_rate": float("nan"), "episodes": None}], history=[], health=[],
        episodes=[], coverage=np.zeros((0, 2)), video=None, video_note="There is no video.", commands=[], manifest={},
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


def test_curves_skip_what_is_no_number(sample):
    curves = figures.histories(sample.history)
    assert list(curves) == ["prediction", "sigreg", "horizon_ratio"]
    assert len(curves["prediction"][0]) == len(sample.history) and len(curves["sigreg"][0]) == len(sample.history) - 1
    assert curves["horizon_ratio"] == ([297.0], [0.9])
    assert figures.curve(*curves["prediction"]).axes[0].get_yscale() == "log"
    assert figures.curve(*curves["sigreg"]).axes[0].get_yscale() == "linear"


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
