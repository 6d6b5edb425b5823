import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import build
from experiments.bench.goal import paired as bench_paired
from experiments.bench.goal.paired import IDENTITY, PairedRow
from experiments.commands import bench
from experiments.records import table_file

from ...recipe import save_random_models

ROW = PairedRow(
    task="two_room",
    variant="more",
    settings="",
    seed=0,
    episodes=4,
    successes=2,
    success_rate=0.5,
    ci_low=0.15,
    ci_high=0.85,
    steps_mean=12.5,
    only_this=1,
    only_reference=0,
    difference=0.25,
    difference_low=-0.3,
    difference_high=0.6,
    plan_ms_p50=3.0,
    plan_ms_p99=4.0,
    command="jepa-mpc bench suite=paired",
)


def test_variants_are_measured_on_the_same_pairs(tmp_path):
    """A random model, real episodes: a variant equal to the reference solves the same, and both rows are written."""
    save_random_models(tmp_path, 0)
    names = {"num_samples": 8, "num_elites": 2, "iterations": 1, "num_keep": 1, "num_best": 2}
    small = ",".join(f"'planner.{name}={value}'" for name, value in names.items())
    cfg = build.compose(
        "bench",
        "suite=paired",
        f"results='{tmp_path}'",
        f"runs='{tmp_path}'",
        "suite.episodes=3",
        "suite.plans=2",
        f"suite.reference=[{small}]",
        *(f"~suite.variants.{name}" for name in ("defaults", "bfloat16", "gradient")),
        f"+suite.variants.same=[{small}]",
    )
    rows = bench.run(cfg)
    assert [row.variant for row in rows] == ["reference", "same"]
    first, second = (replace(row, variant="", plan_ms_p50=0.0, plan_ms_p99=0.0) for row in rows)
    assert first == second and first.only_this == first.only_reference == 0 and first.episodes == 3
    assert len(table_file.read(tmp_path / "paired.csv", PairedRow)) == 2
    assert not list((tmp_path / "paired").iterdir())


def test_a_variant_that_fails_leaves_no_comparison(tmp_path, monkeypatch, caplog):
    def measure(name, *_):
        if name == "gradient":
            raise ValueError("no gradient")
        return np.array([True, False]), np.array([3]), np.ones(4)

    monkeypatch.setattr(bench_paired, "measure", measure)
    cfg = build.compose(
        "bench", "suite=paired", f"results='{tmp_path}'", f"runs='{tmp_path}'", "suite.task=two_room",
        "suite.episodes=2", "suite.reference=['checkpoint=published']",
    )  # fmt: skip
    with pytest.raises(SystemExit):
        bench_paired.run(cfg)
    assert "comparison was skipped: it needs gradient, which failed" in caplog.text
    assert not (tmp_path / "paired.csv").exists()


def test_what_differs_is_counted_on_either_side():
    solved, reference = np.array([True, True, False, False]), np.array([True, False, True, False])
    suite = build.compose("bench", "suite=paired").suite
    row = bench_paired.paired_row(suite, "x", ["a=1", "b=2"], 0, solved, reference, np.array([3, 5]), np.ones(4))
    assert (row.only_this, row.only_reference, row.difference, row.steps_mean) == (1, 1, 0.0, 4.0)
    assert row.settings == "a=1 b=2"
    better = bench_paired.paired_row(suite, "x", [], 0, solved, np.zeros(4, bool), np.array([3, 5]), np.ones(4))
    assert better.difference == 0.5 and better.only_this == 2


def test_a_variant_cannot_be_called_reference():
    cfg = build.compose("bench", "suite=paired", "+suite.variants.reference=[]")
    with pytest.raises(ValueError, match="none of them called reference"):
        bench.run(cfg)


def test_rows_replace_older_ones_and_keep_their_manifests(tmp_path):
    path = tmp_path / "paired.csv"
    table_file.add(path, PairedRow, [ROW, replace(ROW, variant="less")], IDENTITY, {"command": "first"})
    table_file.add(path, PairedRow, [replace(ROW, successes=3)], IDENTITY, {"command": "second"})
    assert table_file.read(path, PairedRow) == [replace(ROW, variant="less"), replace(ROW, successes=3)]
    entries = json.loads(path.with_suffix(".manifest.json").read_text())
    assert [(entry["manifest"]["command"], [row[1] for row in entry["rows"]]) for entry in entries] == [
        ("first", ["less"]),
        ("second", ["more"]),
    ]


@pytest.mark.parametrize(
    ("broken", "words"),
    [("4,2,0.5", "line 2: success_rate must be a number; got 'half'"), ("task", "is another table")],
)
def test_broken_tables_are_named(tmp_path, broken, words):
    path = tmp_path / "paired.csv"
    table_file.add(path, PairedRow, [ROW], IDENTITY, {})
    text = path.read_text()
    path.write_text(text.replace("4,2,0.5", "4,2,half") if broken != "task" else text.replace("task", "tusk", 1))
    with pytest.raises(ValueError, match=words):
        table_file.read(path, PairedRow)


def test_the_model_that_the_reference_names_is_taken_and_none_is_trained(tmp_path, monkeypatch):
    taken = []

    def measure(name, cfg, task, checkpoint, *_):
        taken.append(checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_paired, "measure", measure)
    cfg = build.compose(
        "bench", "suite=paired", f"results='{tmp_path}'", f"runs='{tmp_path}'", "suite.task=two_room",
        "suite.episodes=1", "suite.reference=['checkpoint=published']",
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        bench_paired.run(cfg)
    assert taken[0].metadata["task"]["task"] == "two_room" and not list(tmp_path.iterdir())
