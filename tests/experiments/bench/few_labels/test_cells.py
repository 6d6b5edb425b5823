"""The rows of the suite, its settings, and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import build
from experiments.bench.few_labels import docs_page
from experiments.bench.few_labels.cells import Cell, cells
from experiments.bench.few_labels.rows import IDENTITY, FewLabelsRow
from experiments.build.recipes import Paths, recipe
from experiments.commands import bench
from experiments.records import table_file

MADE = {"cpu": {"model": "A CPU", "cores": 2}, "system": "Linux x86_64", "device": None}
ROW = {"task": "two_room", "method": "joint", "ci_low": 0.9, "ci_high": 1.0, "labelled_steps": 15_000}


def compose(*words):
    return build.compose("bench", "suite=few_labels", *words)


def test_cells_of_a_task_and_seed_share_their_data_and_no_model():
    cfg = compose("suite.seeds=[0,1]")
    found = list(cells(cfg))
    assert len(found) == 2 * 2 * 3 * 3 and found[0] == Cell("two_room", 0.02, "joint", 0)
    made = [each.settings(cfg) for each in found]
    assert len({Paths.of(each, cell.seed).data for each, cell in zip(made, found, strict=True)}) == 4
    files = {cell.model_file(each) for each, cell in zip(made, found, strict=True)}
    assert len(files) == len(found)
    assert Path("runs/few_labels/two_room-pixels-seed0-labels_only-0.1.safetensors") in files


def test_methods_differ_in_what_they_learn_from_alone():
    cfg = compose()
    made = {name: Cell("umaze", 0.1, name, 3).settings(cfg) for name in cfg.suite.recipes}
    for settings in made.values():
        assert settings.labels == 0.1 and settings.seed == 3
        for group in ("collection", "behaviour", "planner", "cost", "training"):
            assert settings[group] == made["joint"][group]
        assert recipe(settings, 3)["labels"] == 0.1
    assert [each.method for each in made.values()] == ["video", "jepa", "jepa"]
    assert made["joint"].model.latent_action and not made["labels_only"].model.latent_action
    assert made["labels_only"].objective.learned_encoder and not made["frozen_random"].objective.learned_encoder
    whole = Cell("umaze", 1.0, "labels_only", 3).settings(cfg)
    assert recipe(whole, 3) == recipe(build.compose("plan", "task=umaze", "observation=pixels", "seed=3"), 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["suite.methods=[join]"], "'join' is not a choice of suite.methods: .*; did you mean joint"),
        (["suite.tasks=[chess]"], "'chess' is not a choice of suite.tasks"),
        (["suite.shares=[]"], "suite.shares is empty: name at least one"),
        (["suite.shares=[0.1,2]"], "suite.shares must be more than 0 and at most 1 each; got 2"),
        (
            ['+suite.recipes.mine=["objective.speed=1"]', "suite.methods=[mine]"],
            "the settings .* cannot be composed: .*speed",
        ),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(words, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        bench.run(compose(*words, f"runs='{tmp_path}'", f"results='{tmp_path}'"))
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_what_was_measured():
    """`python -m experiments.bench.few_labels.docs_page` writes the table anew."""
    text = docs_page.PAGE.read_text()
    assert docs_page.page(text, docs_page.RESULTS) == text


def test_the_page_is_written_from_rows(tmp_path):
    text = docs_page.PAGE.read_text()
    assert "\nNot measured yet: `jepa-mpc bench suite=few_labels`.\n" in docs_page.page(text, tmp_path)
    rows = [
        FewLabelsRow(
            **ROW, share=share, seed=seed, episodes=50, successes=49, success_rate=0.98, train_seconds=300.0, command=""
        )
        for seed, share in ((0, 0.1), (1, 0.1), (0, 1.0))
    ]
    table_file.add(tmp_path / "few_labels.csv", FewLabelsRow, rows, IDENTITY, MADE)
    page = docs_page.page(text, tmp_path)
    assert "| task | method | 10 % | all |" in page
    assert "| two_room | joint | 98.0% (93.0–99.4, 2 seeds) | 98.0% (89.5–99.6) |" in page
    assert "Measured on A CPU, 2 cores, Linux x86_64." in page and docs_page.page(page, tmp_path) == page
    header = (tmp_path / "few_labels.csv").read_text().splitlines()[0]
    assert header.startswith("task,share,method,seed,episodes,successes,success_rate,") and header.endswith(",command")
