from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.records.manifest import manifest, requirements
from experiments.records.results import COLUMNS, Row, Value, append_csv, append_values, read_csv, write_json

ROW = Row(task="two_room", observation="state", policy="model", planner="cem", seed=0, episodes=100, success_rate=1 / 3)


def test_columns_are_those_of_the_design() -> None:
    assert ", ".join(COLUMNS) == (
        "task, observation, protocol, goal_offset, budget, policy, planner, model, variant, seed, episodes, successes, "
        "success_rate, ci_low, ci_high, return_mean, env_steps, train_seconds, parameters, plan_ms_p50, plan_ms_p95, "
        "plan_ms_p99, command"
    )


def test_json_holds_rows_and_manifest(tmp_path: Path) -> None:
    write_json(tmp_path / "runs" / "results.json", [ROW], {"seeds": [0]})
    read = json.loads((tmp_path / "runs" / "results.json").read_text())
    assert read["manifest"] == {"seeds": [0]}
    assert list(read["rows"][0]) == list(COLUMNS)
    assert Row(**read["rows"][0]) == ROW


def test_csv_gives_back_what_was_written(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, seed=1, command='jepa-mpc plan "a,b"'), Row(task="reacher", policy="noop")]
    append_csv(tmp_path / "state.csv", rows, {})
    assert read_csv(tmp_path / "state.csv") == rows


def test_a_new_measurement_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.csv"
    other = replace(ROW, seed=1)
    append_csv(path, [ROW, other], {"time": "first"})
    better = replace(ROW, episodes=200, command="again")
    append_csv(path, [better], {"time": "second"})
    assert read_csv(path) == [other, better]
    entries = json.loads((tmp_path / "state.manifest.json").read_text())
    assert [(entry["manifest"]["time"], [tuple(row) for row in entry["rows"]]) for entry in entries] == [
        ("first", [other.identity()]),
        ("second", [better.identity()]),
    ]


def test_a_manifest_without_rows_goes(tmp_path: Path) -> None:
    append_csv(tmp_path / "state.csv", [ROW], {"time": "first"})
    append_csv(tmp_path / "state.csv", [ROW], {"time": "second"})
    entries = json.loads((tmp_path / "state.manifest.json").read_text())
    assert [entry["manifest"]["time"] for entry in entries] == ["second"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task,score\ntwo_room,1\n", r"table\.csv is another table: foreign columns \['score'\], missing"),
        (",".join(COLUMNS) + "\n" + "a,b\n", "line 2 has another number of cells"),
        (
            ",".join(COLUMNS) + "\n" + ",".join("x" for _ in COLUMNS) + "\n",
            "line 2: goal_offset must be a number or empty; got 'x'",
        ),
    ],
)
def test_foreign_tables_are_refused_and_kept(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        append_csv(path, [ROW], {})
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_row_of_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="ci_low of a result row must be a finite number or None; got nan"):
        replace(ROW, ci_low=float("nan"))


def test_values_replace_their_case_and_keep_the_others(tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    append_values(path, [Value("a", 1.0, "s"), Value("b", 2.0, "")], {"command": "first"})
    append_values(path, [Value("a", 3.25, "s")], {"command": "second"})
    assert path.read_text().splitlines() == ["case,value,unit,command", "a,3.25,s,second", "b,2,,first"]
    manifests = json.loads(path.with_suffix(".manifest.json").read_text())
    assert {case: made["command"] for case, made in manifests.items()} == {"a": "second", "b": "first"}
    write_json(tmp_path / "rows.csv", [], {})
    with pytest.raises(ValueError, match="rows.csv is another table"):
        append_values(tmp_path / "rows.csv", [], {"command": ""})


def test_manifest_says_what_made_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/jepa-mpc", "plan", "seed=3"])
    cfg = OmegaConf.create({"budget": 100, "cem": {"horizon": "${budget}"}})
    made = manifest(cfg, seeds=[3])
    assert made["command"] == "jepa-mpc plan seed=3"
    assert made["config"] == {"budget": 100, "cem": {"horizon": 100}}
    assert made["seeds"] == [3]
    assert made["cpu"]["cores"] >= 1
    assert made["time"].endswith("+00:00")
    assert {"python", "jepa-mpc", "jax", "jaxlib", "mujoco", "minari"} <= set(made["versions"])
    assert all(made["versions"].values())
    json.dumps(made, allow_nan=False)


def test_a_manifest_of_bounds_without_an_end_is_json_all_the_same() -> None:
    made = manifest(OmegaConf.create({"low": [float("-inf"), -2.5], "high": float("nan")}), seeds=[0])
    assert json.loads(json.dumps(made, allow_nan=False))["config"] == {"low": ["-inf", -2.5], "high": "nan"}


def test_manifest_names_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", [f"{tmp_path}/jepa-mpc", "plan", f"model={tmp_path}/runs/m", "data=/media/ada/d.h5"]
    )
    cfg = OmegaConf.create(
        {"out": f"{tmp_path}/runs/demo", "data": "/media/ada/d.h5", "task": "dmc/reacher-easy", "here": str(tmp_path)}
    )
    made = manifest(cfg, seeds=[])
    assert made["command"] == "jepa-mpc plan model=runs/m data=…/d.h5"
    assert made["config"] == {"out": "runs/demo", "data": "…/d.h5", "task": "dmc/reacher-easy", "here": "."}


def test_limits_without_end_are_words_in_a_manifest(tmp_path: Path) -> None:
    """They would otherwise raise when the rows of hours are written."""
    made = manifest(OmegaConf.create({"rate": [float("inf"), 1.5], "least": float("-inf"), "no": float("nan")}), [0])
    assert made["config"] == {"rate": ["inf", 1.5], "least": "-inf", "no": "nan"}
    append_csv(tmp_path / "state.csv", [ROW], made)


def test_requirements_come_with_bounds() -> None:
    bounds = {requirement.name: requirement.specifier for requirement in requirements()}
    assert "3.11.0" in bounds["mujoco"]
    assert "4.0.0" not in bounds["mujoco"]
