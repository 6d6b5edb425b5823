"""The page of a drive in a real browser: is there anything to see, and does it steer?"""

from __future__ import annotations

import base64
import contextlib
import io
import time
import types

import imageio.v3 as imageio
import numpy as np
import pytest

import envs
from experiments.driving.view.page import View
from experiments.driving.view.scene import Stage
from experiments.driving.view.state import Picture
from experiments.driving.view.theme import DARK, LIGHT, SHEET

from ... import browser

viser = pytest.importorskip("viser", reason="the page needs viser, of the extra `view`")
NAMES = ("body", "goal", "plan", "wall")
PANEL = 330  # pixels at the right of a wide window
SLIDERS = "[...document.querySelectorAll('[role=slider]')].length"
TEXT = "document.body.innerText"
SHEET_BOX = """(() => { const box = document.querySelector('.mantine-Paper-root[style*="position: fixed"]')
  .getBoundingClientRect(); return [box.left, box.top, box.width] })()"""
REACHABLE = """[...document.querySelectorAll('[role=slider], button')].map(each => each.getBoundingClientRect())
  .filter(box => box.width && box.bottom < innerHeight).map(box => Math.min(box.width, box.height))"""


def pictures(task, state, reached=False):
    here = task.keypoints(state)
    future = np.stack([(here + 0.06 * step).ravel() for step in range(6)])
    return Picture(state, 1.2, "PLAN", (), future, np.array([3.0, 1.0]), 4.2, 2, 3, 0, reached)


@pytest.fixture(scope="module")
def shown():
    """A page of two rooms with a robot, a plan and a goal, and who drives it."""
    task = envs.make("two_room")
    state, goal = task.sample_pair(np.random.default_rng(0))
    with View(task, {"temporal_distance": 1.0, "effort": 0.1}, 0.05, "127.0.0.1", 18090) as view:
        view.begin(goal)
        yield view, task, state


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    executable = browser.find()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    page = browser.Browser(executable, tmp_path_factory.mktemp("chromium"), webgl=True)
    yield page
    page.close()


def until(view, picture, condition, seconds=60.0):
    """Show a picture again and again, as a drive does, until something is true of the page."""
    end = time.monotonic() + seconds
    while not np.any(found := condition()):
        assert time.monotonic() < end, getattr(condition, "missing", "the page never came to that")
        view.show(picture)
        time.sleep(0.2)
    return found


def screen(page):
    """[h, w, 3] what is seen, without the notice that there is no graphics card."""
    page.evaluate("document.querySelectorAll('.mantine-Notification-root').forEach(each => each.remove())")
    png = base64.b64decode(page("Page.captureScreenshot", format="png")["data"])
    return imageio.imread(io.BytesIO(png))[..., :3].astype(int)


def share(pixels, colour):
    """Of the pixels, how many have about the hue of a colour, whatever the light."""

    def hue(rgb):
        return (rgb - rgb.mean(axis=-1, keepdims=True)) / (np.ptp(rgb, axis=-1, keepdims=True) + 1e-9)

    coloured = np.ptp(pixels, axis=-1) > 12
    near = np.abs(hue(pixels.astype(float)) - hue(np.array(colour, float))).max(axis=-1) < 0.18
    return float((coloured & near).mean())


def complete(page, picture_of, theme=LIGHT):
    """A screenshot once the scene is drawn: body, goal, plan and walls."""

    def drawn():
        pixels = picture_of(screen(page))
        shares = {name: share(pixels, getattr(theme, name)) for name in NAMES}
        drawn.missing = f"shares of the picture: {shares}"
        return pixels if min(shares.values()) > 2e-4 else None

    return drawn


def test_a_wide_page_shows_the_scene_and_a_panel(shown, chromium):
    view, task, state = shown
    chromium.go(view.address, 1280, 800)
    pixels = until(view, pictures(task, state), complete(chromium, lambda pixels: pixels[:, :-PANEL]))
    assert np.isin(pixels, range(235, 256)).all(axis=-1).mean() > 0.15, "dark on light"
    text = chromium.evaluate(TEXT)
    for word in ("x, m", "y, m", "temporal distance", "effort", "4.2 ms", "2 of 3", "Latency, ms", "seconds ago"):
        assert word in text, word
    assert chromium.evaluate(SLIDERS) == 4
    assert chromium.evaluate("document.querySelectorAll('.uplot canvas').length") == 2


def test_a_phone_shows_the_scene_above_a_sheet_whose_controls_a_thumb_can_reach(shown, chromium):
    view, task, state = shown
    chromium.go(view.address, 390, 844)
    free = round(844 * (1 - SHEET))
    pixels = until(view, pictures(task, state), complete(chromium, lambda pixels: pixels[:free]))
    columns = np.flatnonzero((pixels < 200).all(axis=-1).any(axis=0))
    assert columns[0] < 30 and columns[-1] > 360, "the walls span the window"
    left, top, width = chromium.evaluate(SHEET_BOX)
    assert (left, width) == (0, 390) and top >= free - 1
    reachable = chromium.evaluate(REACHABLE)
    assert len(reachable) >= 5 and sum(size >= 24 for size in reachable) >= 5, "goal, weights and the button, at once"
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 390
    assert chromium.evaluate(SLIDERS) == 4


def test_a_dark_page_is_light_on_dark(chromium):
    task = envs.make("two_room")
    state, goal = task.sample_pair(np.random.default_rng(0))
    with View(task, {"temporal_distance": 1.0}, 0.05, "127.0.0.1", 0, dark=True) as view:
        view.begin(goal)
        chromium.go(view.address, 1280, 800)
        pixels = until(view, pictures(task, state), complete(chromium, lambda pixels: pixels[:, :-PANEL], DARK))
        assert (pixels < 80).all(axis=-1).mean() > 0.5
        whole = screen(chromium)
        assert (whole > 235).all(axis=-1).mean() < 0.02, "no white ground anywhere"
        assert (whole[:, -PANEL:] > 150).all(axis=-1).mean() > 0.003, "the panel's words"


def test_a_window_that_becomes_tall_shows_the_scene_above_the_panel(shown, chromium):
    view, task, state = shown
    chromium.go(view.address, 1280, 800)
    until(view, pictures(task, state), complete(chromium, lambda pixels: pixels[:, :-PANEL]))
    chromium("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    until(view, pictures(task, state), complete(chromium, lambda pixels: pixels[: round(844 * (1 - SHEET))]))


class Camera:
    """What viser keeps of a visitor's camera."""

    aspect, position, look_at = 0.46, np.array([3.0, 3.0, 3.0]), np.zeros(3)

    def on_update(self, told):
        self.moved_to = lambda position: (setattr(self, "position", position), told(self))


def test_a_page_that_takes_up_the_first_camera_late_is_told_again_and_a_visitor_is_let_be():
    server = viser.ViserServer("127.0.0.1", 18091, verbose=False)
    try:
        stage, client = (
            Stage(server, envs.make("two_room"), LIGHT),
            types.SimpleNamespace(atomic=contextlib.nullcontext),
        )
        client.camera = camera = Camera()
        stage._welcome(client)
        wanted = camera.position
        assert wanted[2] > 5, "from high above"
        camera.moved_to(np.array(server.initial_camera.position))
        np.testing.assert_array_equal(camera.position, wanted)
        camera.moved_to(wanted + [1.0, 0.5, 0.0])
        np.testing.assert_array_equal(camera.position, wanted + [1.0, 0.5, 0.0])
    finally:
        server.stop()


def test_sliders_become_wishes_and_a_reload_keeps_them(shown, chromium):
    view, task, state = shown
    chromium.go(view.address, 1280, 800)
    until(view, pictures(task, state), lambda: chromium.evaluate(SLIDERS) == 4)
    view.wishes()

    def press(index, key="ArrowRight"):
        chromium.evaluate(f"document.querySelectorAll('[role=slider]')[{index}].focus()")
        for kind in ("keyDown", "keyUp"):
            chromium("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=39)

    def wished(name):
        return lambda: getattr(view.wishes(), name)

    press(2)
    weights = until(view, pictures(task, state), wished("weights"))
    assert weights["temporal_distance"] == pytest.approx(1.02) and weights["effort"] == pytest.approx(0.1)
    press(0)
    goal = until(view, pictures(task, state), lambda: view.wishes().goal is not None or view.steered)
    assert goal and view.steered
    moved = chromium.evaluate("document.querySelectorAll('[role=slider]')[2].ariaValueNow")
    chromium("Page.reload")
    until(view, pictures(task, state), lambda: chromium.evaluate(SLIDERS) == 4)
    assert chromium.evaluate("document.querySelectorAll('[role=slider]')[2].ariaValueNow") == moved
    chromium.evaluate("[...document.querySelectorAll('button')].find(b => b.innerText.includes('Next start')).click()")
    assert until(view, pictures(task, state), wished("skip")) and not view.steered


def test_a_browser_takes_the_token_from_the_address_along(chromium):
    task = envs.make("two_room")
    state, goal = task.sample_pair(np.random.default_rng(0))
    with View(task, {"temporal_distance": 1.0, "effort": 0.1}, 0.05, "0.0.0.0", 0) as view:
        view.begin(goal)
        chromium.go(view.address, 390, 844)
        until(view, pictures(task, state), lambda: chromium.evaluate(SLIDERS) == 4)
        chromium("Page.reload")  # viser writes the address of its websocket into that of the page
        until(view, pictures(task, state), lambda: chromium.evaluate(SLIDERS) == 4)
        chromium.go(view.address.rsplit("/", 2)[0], 390, 844)
        assert "with its token" in chromium.evaluate(TEXT)
