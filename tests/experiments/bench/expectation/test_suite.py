"""The suite with tiny models on a few clips: rows, resuming, the page, and the export."""

from __future__ import annotations

import minari
import pytest

from envs.vision.camera import available
from experiments import build
from experiments.bench.expectation import suite as bench_expectation
from experiments.bench.expectation.cells import cells
from experiments.bench.expectation.rows import ExpectationRow
from experiments.commands import bench
from experiments.records import table_file
from worldmodel.models.checkpoint import load_model

TINY = (
    "model.history=2",
    "model.action_block=2",
    "model.latent_size=4",
    "model.width=16",
    "model.head_width=8",
    "model.depth=1",
    "model.train_blocks=2",
    "model.ensemble=1",
    "model.policy=false",
    "objective.distance=0",
    "training.batch=8",
    "training.critic_batch=4",
    "training.updates=10",
    "training.updates_per_call=10",
    "training.frozen_updates=10",
    "training.critic_updates=0",
    "training.policy_updates=0",
)
BELIEF = ("model.belief=8", "training.belief_updates=10", "training.doubt_updates=10", "training.belief_batch=4")
FEW = ("suite.pairs=4", "suite.clips=8", "suite.calibration_clips=4", "suite.held_out=3")


def settings(folder, *words):
    listed, belief = (",".join(f'"{each}"' for each in some) for some in (TINY, BELIEF))
    places = (f"runs='{folder / 'runs'}'", f"results='{folder / 'results'}'")
    chosen = ("suite.properties=[permanence,agency_reversed]", "suite.methods=[jepa,window,pixels,oracle]")
    recipes = (f"suite.overrides=[{listed}]", f"suite.recipes.jepa=[{belief}]", "suite.recipes.window=[]")
    return build.compose("bench", "suite=expectation", *FEW, *chosen, *recipes, *places, *words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    if (reason := available()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("expectation")
    return folder, bench.run(settings(folder))


def test_every_case_and_method_has_a_row(finished):
    folder, rows = finished
    assert len(rows) == 3 * 4
    assert {row.identity() for row in rows} == {cell.identity for cell in cells(settings(folder))}
    for row in rows:
        assert row.pairs == 4 and 0 <= row.auroc <= 1 and "bench" not in row.visibility
        if row.method == "oracle":
            assert row.accuracy == row.auroc == 1.0
        if row.method == "pixels" and (row.visibility == "occluded" or row.property == "agency_reversed"):
            assert row.accuracy == 0.5
    models = {
        name: load_model(folder / f"runs/expectation/{name}-seed0.safetensors").model for name in ("jepa", "window")
    }
    assert models["jepa"].config.belief == 8 and models["window"].config.belief == 0


def test_what_is_measured_is_not_measured_again(finished):
    folder, rows = finished
    for words, lacking in (((), 0), (("suite.pairs=6",), 12), (("suite.spans=1",), 6), (("suite.held_out=4",), 12)):
        cfg = settings(folder, *words)
        with bench_expectation.Suite(cfg) as suite:
            todo = suite.to_measure(list(cells(cfg)))
            assert len(todo) == lacking
            assert all("model" not in step.kind for step in suite.steps(todo))  # models are there already
    assert table_file.read(folder / "results" / "expectation.csv", ExpectationRow) == rows


def test_the_page_shows_twins_and_their_surprise(finished):
    folder, _ = finished
    text = (folder / "runs/expectation/expectation.html").read_text()
    assert text.count("data:image/png;base64") == 3 and "permanence, occluded" in text
    assert text.count('class="chart lines"') == 3 and "http" not in text.split("<main", 1)[1].replace("http-equiv", "")


def test_clips_for_the_models_of_others(finished, tmp_path):
    cfg = settings(tmp_path, f"suite.export='{tmp_path / 'physics'}'")
    assert bench.run(cfg) == [] and not (tmp_path / "results").exists()
    assert minari.MinariDataset(tmp_path / "physics" / "possible").total_episodes == 8
    assert minari.MinariDataset(tmp_path / "physics" / "test").total_episodes == 3 * 2 * 4
    with pytest.raises(FileExistsError, match="choose another folder"):
        bench.run(cfg)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("suite.properties=[magic]", "'magic' is not a choice of suite.properties"),
        ("suite.methods=[jepe]", "did you mean jepa"),
        ("suite.pairs=3", "suite.pairs must be even"),
        ("suite.methods=[]", "suite.methods is empty"),
        ("suite.overrides=['model.histori=2']", "model.histori"),
    ],
)
def test_mistakes_are_found_before_anything_is_drawn(tmp_path, word, message):
    with pytest.raises(ValueError, match=message):
        bench.run(settings(tmp_path, word))
    assert list(tmp_path.iterdir()) == []
