"""The rows of the suite, its settings, and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import build
from experiments.bench.representation import docs_page
from experiments.bench.representation.cells import Cell, cells
from experiments.bench.representation.rows import IDENTITY, RepresentationRow
from experiments.commands import bench
from experiments.records import table_file

MADE = {"cpu": {"model": "A CPU", "cores": 2}, "system": "Linux x86_64", "device": None}
ROW = {"task": "two_room", "condition": "clean", "method": "jepa", "updates": 1500, "r2_position": 0.987, "command": ""}


def compose(*words):
    return build.compose("bench", "suite=representation", *words)


def test_conditions_of_the_test_alone_come_with_the_model_of_clean_pictures():
    words = ("suite.tasks=[umaze]", "suite.methods=[jepa,twin]", "suite.conditions=[noise,body,clean]")
    found = list(cells(compose(*words, "suite.updates=[1000,2000]")))
    assert [(each.condition, each.learned, each.method, each.updates) for each in found] == [
        ("noise", "clean", "jepa", 1000), ("clean", "clean", "jepa", 1000),
        ("noise", "clean", "twin", 1000), ("clean", "clean", "twin", 1000),
        ("noise", "clean", "jepa", 2000), ("clean", "clean", "jepa", 2000),
        ("noise", "clean", "twin", 2000), ("clean", "clean", "twin", 2000),
        ("body", "body", "jepa", 1000), ("body", "body", "twin", 1000),
        ("body", "body", "jepa", 2000), ("body", "body", "twin", 2000),
    ]  # fmt: skip
    assert len({each.model_file(each.settings(compose())) for each in found}) == 8


def test_methods_differ_in_what_shapes_the_representation_alone():
    cfg = compose()
    made = {name: Cell("two_room", "body", name, 1000, 3).settings(cfg) for name in cfg.suite.recipes}
    for name, settings in made.items():
        assert settings.observation.distractor == "body" and settings.training.updates == 1000 and settings.seed == 3
        assert Path(settings.runs) == Path("runs/representation/body")
        for group in ("collection", "behaviour", "planner", "cost", "training"):
            assert settings[group] == made["jepa"][group]
        assert settings.model.decoder is name.startswith("twin") is (settings.objective.reconstruction > 0)
        assert settings.objective.distance == made["jepa"].objective.distance
        if name.startswith("twin") or name == "inverse_only":
            assert settings.objective.prediction == settings.objective.sigreg == 0
    assert made["twin"].objective.inverse == 0 < made["twin_inverse"].objective.inverse
    tuned = made.keys() - {"jepa_components", "jepa_twice", "jepa_steady"}  # other encoders, and no tuning
    tried = [sum(each.startswith(prefix) for each in tuned) for prefix in ("jepa", "twin")]
    assert tried == [4, 8]  # four of the default, of the twin, and of the twin with inverse dynamics


def test_one_number_of_updates_needs_no_list():
    assert {each.updates for each in cells(compose("suite.updates=700"))} == {700}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["suite.methods=[jepaa]"], "'jepaa' is not a choice of suite.methods: .*; did you mean jepa"),
        (["suite.conditions=[fog]"], "'fog' is not a choice of suite.conditions: choose from clean, body"),
        (["suite.tasks=[chess]"], "'chess' is not a choice of suite.tasks"),
        (["suite.methods=[]"], "suite.methods is empty: name at least one"),
        (["suite.updates=[]"], "suite.updates is empty: name at least one"),
        (["suite.updates=[1000,0]"], "suite.updates must be a list as in .*, and each in it must be at least 1"),
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
    """`python -m experiments.bench.representation.docs_page` writes the table anew."""
    text = docs_page.PAGE.read_text()
    assert docs_page.page(text, docs_page.RESULTS) == text


def test_the_page_is_written_from_rows(tmp_path):
    text = docs_page.PAGE.read_text()
    assert "\nNot measured yet: `jepa-mpc bench suite=representation`.\n" in docs_page.page(text, tmp_path)
    rows = [
        RepresentationRow(
            **ROW, seed=seed, episodes=50, successes=49, success_rate=0.98, r2_velocity=velocity, leak=None
        )
        for seed, velocity in ((0, 0.8), (1, None))
    ]
    table_file.add(tmp_path / "representation.csv", RepresentationRow, rows, IDENTITY, MADE)
    page = docs_page.page(text, tmp_path)
    assert "| two_room | clean | jepa | 1,500 | 2 | 98.0% (93.0–99.4) | 0.99 | 0.80 |  |" in page
    assert "Measured on A CPU, 2 cores, Linux x86_64." in page and docs_page.page(page, tmp_path) == page
    header = (tmp_path / "representation.csv").read_text().splitlines()[0]
    assert header == (
        "task,condition,method,updates,seed,episodes,successes,success_rate,r2_position,r2_velocity,leak,command"
    )
