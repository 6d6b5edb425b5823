"""What the cameras see beside what the model expects: the process that imagines, and the pictures on the page."""

from __future__ import annotations

import base64
import io
import select
import time

import imageio.v3 as imageio
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

from envs.vision.camera import available
from experiments.build import compose
from experiments.build.embeddings import embedded
from experiments.commands import drive
from experiments.driving.view.expectation import UNKNOWN, Expectation, Imagination
from experiments.driving.view.page import View
from experiments.driving.view.sight import Sight
from experiments.driving.view.state import Moment, Picture
from experiments.pictures.memory import load_memory, memory_file
from worldmodel.models.checkpoint import load_model

from ... import browser
from ...pictures.small import save_small, seen_task, wandering

viser = pytest.importorskip("viser", reason="the page needs viser, of the extra `view`")
PLANNER = ("planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1", "planner.horizon=9")
OF_PAGE = """Promise.all([...document.querySelectorAll('img')].map(each => fetch(each.src).then(r => r.blob()).then(
  blob => new Promise(done => {const reader = new FileReader(); reader.onload = () => done(reader.result);
  reader.readAsDataURL(blob)}))))"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Path of a model, its task, its memory and data."""
    if (reason := available()) is not None:
        pytest.skip(reason)
    path, task = save_small(tmp_path_factory.mktemp("sight")), seen_task()
    model = load_model(path).model
    memory = load_memory(path, model.observation, model.latent_size)
    yield path, task, model, memory, wandering(task)
    task.close()


def arguments(path):
    cfg = compose("drive", "task=two_room", f"checkpoint='{path}'", *PLANNER)
    return {"checkpoint": str(path), "settings": OmegaConf.to_container(cfg, resolve=True)}


def question(data, begin=4, steps=6):
    """Window of six observations (P + K), the three actions before the last, and a plan of eight."""
    window = [{"pixels": data.readings["pixels"][index]} for index in range(begin, begin + steps)]
    return window, data.actions[begin + steps - 4 : begin + steps - 1], data.actions[begin + steps - 1 :][:8]


def by_hand(model, memory, window, executed, plan):
    """Numbers of the moments nearest to the predictions, straight from the model's functions."""
    rows = embedded(model, {"pixels": np.stack([each["pixels"] for each in window])})

    def predict(latent, block):
        return model.predict(model.params, latent, jnp.asarray(block)).latent

    def latent(rows):
        return model.encode(model.params, jnp.asarray(rows))

    later = latent(rows[-3:])
    for begin in (0, 3):  # two whole blocks in a plan of eight
        later = predict(later, plan[begin : begin + 3])
    return memory.nearest(np.asarray(predict(latent(rows[:3]), executed))), memory.nearest(np.asarray(later))


def test_what_is_expected_is_the_nearest_remembered_moment_to_the_prediction(known):
    path, _, model, memory, data = known
    imagination = Imagination(drive.engine(**arguments(path)), memory)
    for begin in (4, 60, 100):
        asked = question(data, begin)
        assert imagination.expected(*asked) == by_hand(model, memory, *asked)
    window, executed, plan = question(data)
    assert imagination.expected(window[1:], executed, plan)[0] == UNKNOWN, "the window is too short"
    assert imagination.expected(window, executed, plan[:2])[1] == UNKNOWN, "no whole block is left of the plan"


def wait_for(expectation):
    """The next answer."""
    assert select.select([expectation._process.stdout], [], [], 120)[0]
    return expectation.answer()


def test_a_process_of_its_own_answers_and_its_death_is_harmless(known, caplog):
    path, _, model, memory, data = known
    planner = {"factory": "experiments.commands.drive:engine", "arguments": arguments(path)}
    with Expectation(planner, memory_file(path)) as expectation:
        assert not expectation.idle
        assert wait_for(expectation) == (UNKNOWN, UNKNOWN) and expectation.idle
        asked = question(data)
        expectation.ask(*asked)
        assert not expectation.idle
        assert wait_for(expectation) == by_hand(model, memory, *asked)
        expectation._process.kill()
        assert wait_for(expectation) is None and not expectation.idle
        assert expectation.answer() is None
    assert "has ended: the page shows the camera alone" in caplog.text


class Oracle:
    """In place of the process: it always expects the same two moments, and keeps what it is asked."""

    idle = True

    def __init__(self):
        self.asked = []

    def answer(self):
        return 3, 5

    def ask(self, window, executed, plan):
        self.asked.append((window, executed, plan))


def tiles(page):
    """The two pictures in each row of the panel, in their own size."""
    found = []
    for each in page.evaluate(OF_PAGE):
        if not each.startswith("data:image/png"):
            continue  # an icon of viser's
        row = imageio.imread(io.BytesIO(base64.b64decode(each.partition(",")[2])), extension=".png")[..., :3]
        side = row.shape[0]
        found.append([picture[:: side // 32, :: side // 32] for picture in (row[:, :side], row[:, -side:])])
    return found


def test_the_page_shows_them_side_by_side(known, tmp_path):
    executable = browser.find()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    path, task, _, memory, data = known
    contract, oracle, chromium = drive.engine(**arguments(path)).contract, Oracle(), None
    state, goal = task.sample_pair(np.random.default_rng(0))
    wanted = task.goal_observation(goal)
    try:
        with View(task, {"distance": 1.0}, 0.05, "127.0.0.1", 0, Sight(contract, memory, oracle)) as view:
            view.begin(None)
            view.aim(wanted)
            chromium = browser.Browser(executable, tmp_path, webgl=True)
            chromium.go(view.address, 1280, 900)
            end, number = time.monotonic() + 60, 0
            while True:
                seen = data.readings["pixels"][number % 20]
                moment = Moment(number, {"pixels": seen}, np.zeros(2, np.float32), np.zeros((9, 2), np.float32))
                view.show(Picture(state, 0.1, "PLAN", (), None, None, 1.0, 0, 1, 0, False, False, moment))
                shown = tiles(chromium)
                if len(shown) == 2 and np.array_equal(shown[0][1], memory.frames["pixels"][3]):
                    break
                assert time.monotonic() < end, "the pictures never appeared"
                number += 1
                time.sleep(0.1)
            (now, expected), (to, later) = shown
            assert any(np.array_equal(now, each) for each in data.readings["pixels"][:20])
            np.testing.assert_array_equal(to, wanted["pixels"])
            np.testing.assert_array_equal(later, memory.frames["pixels"][5])
            text = chromium.evaluate("document.body.innerText")
            for word in ("seen now", "expected for now", "goal", "expected in 0.45 s", "not known"):
                assert word in text, word
            assert not chromium.overlaps()
    finally:
        if chromium is not None:
            chromium.close()


def test_a_drive_with_a_page_asks_with_whole_windows(known, monkeypatch, caplog):
    """The window of a question is what the cameras saw one control period apart, with the actions in between."""
    path, *_ = known
    oracle = Oracle()
    monkeypatch.setattr(drive, "Expectation", lambda *_: _Context(oracle))
    words = ("timing=ideal", "view=true", "seconds=2", "port=0")
    drive.run(compose("drive", "task=two_room", f"checkpoint='{path}'", *PLANNER, *words))
    whole = [each for each in oracle.asked if len(each[0]) == 6]
    assert whole and all(np.isfinite(executed).all() and plan.shape == (9, 2) for _, executed, plan in whole)
    assert "the page stands still" not in caplog.text


class _Context:
    def __init__(self, inner):
        self.inner = inner

    def __enter__(self):
        return self.inner

    def __exit__(self, *_):
        pass
