"""`format=json`: one document on standard output, everything else on standard error, and the same exit code."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from experiments import cli
from experiments.comparison.tables import COLUMNS as SCORES
from experiments.records import document, results
from experiments.records.results import Value
from experiments.shell.shadowing import ROOT


@dataclass(frozen=True)
class Measured:
    name: str
    mean: float = field(metadata={"column": "return"})
    where: Path = Path("a/b")


def test_rows_have_the_columns_of_their_table_and_json_has_no_nan() -> None:
    rows = document.rows_of(
        [Measured("ä", math.nan), {"numbers": (np.float32(0.5), np.int64(3), math.inf), "is": True}]
    )
    made = json.loads(document.text("plan", 3, {"rows": rows}))
    assert made == {
        "schema": document.SCHEMA,
        "command": "plan",
        "version": "0.1.0",
        "exit_code": 3,
        "rows": [{"name": "ä", "return": None, "where": "a/b"}, {"numbers": [0.5, 3, None], "is": True}],
    }
    assert document.text("plan", 0, {"rows": []}).count("\n") == 1


def test_what_is_printed_goes_aside_also_from_programs_that_are_started(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from experiments.records.document import tables_aside\n"
        "with tables_aside():\n"
        "    print('one'); os.write(1, b'two'); subprocess.run(['echo', 'three'])\n"
        "print('{}')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "{}\n"
    assert {"one", "two", "three"} <= set(done.stderr.replace("two", "two\n").split())


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    code = cli.main([*words, "format=json"])
    said = capsys.readouterr()
    assert said.out.count("\n") == 1, said.err
    made = json.loads(said.out)
    assert (made["exit_code"], made["schema"], made["command"]) == (code, document.SCHEMA, words[0])
    return made


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.commands import doctor

    for slow in ("check_rendering", "_video", "_devices"):
        monkeypatch.setattr(doctor, slow, lambda: doctor.Check("left out", "ok", ""))
    made = run(capsys, "doctor", "min_free_gib=0")
    assert made["exit_code"] == 0
    assert made["rows"][0].keys() == {"name", "state", "found", "fix"}
    made = run(capsys, "doctor", "min_free_gib=1e9")
    assert made["exit_code"] == 1 and made["rows"][-2]["state"] == "failed"


def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "compare", "tasks=[dmc/walker-walk]")
    assert tuple(made["rows"][0]) == SCORES
    table = made["tables"][0]
    assert table.keys() == {"title", "note", "heads", "rows"} and len(table["rows"][0]) == len(table["heads"])


def test_shipped_rows_of_a_suite(capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "bench", "suite=goal", "shipped=true")
    assert made["suite"] == "goal" and tuple(made["rows"][0]) == (*results.COLUMNS, "machine")


def test_a_suite_that_breaks_a_promise_has_its_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.bench.robot.soak import suite
    from experiments.records.manifest import manifest
    from experiments.records.promises import require

    def soak(cfg: object) -> None:
        print("a table")
        values = [Value("soak_unsafe", 2.0, "actions")]
        results.append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [0]))
        require(cfg.suite, values)

    monkeypatch.setattr(suite, "run", soak)
    made = run(capsys, "bench", "suite=soak")
    assert made["exit_code"] == 1
    assert [(row["case"], row["value"], row["unit"]) for row in made["rows"]] == [("soak_unsafe", 2.0, "actions")]


def test_plan_prints_the_rows_that_it_writes(capsys: pytest.CaptureFixture[str]) -> None:
    made = run(
        capsys, "plan", "task=umaze", "checkpoint=published", "policies=[random,noop]", "episodes=2", "results=rows.csv"
    )
    assert tuple(made["rows"][0]) == results.COLUMNS
    assert [row["policy"] for row in made["rows"]] == ["random", "noop"]
    assert [row.policy for row in results.read_csv(Path("rows.csv"))] == ["random", "noop"]


def test_an_error_is_a_sentence_and_no_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "checkpoint=nowhere.safetensors", "format=json"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "there is no checkpoint at nowhere.safetensors" in said.err
    assert cli.main(["plan", "format=yaml"]) == 2
    assert "format must be one of table, json; got 'yaml'" in capsys.readouterr().err
