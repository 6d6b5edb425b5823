"""Rows of one's own go to the current folder's `runs/`; shipped rows are shown on request; git stays clean."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments import build, cli
from experiments.bench import shipped
from experiments.bench.latency import rows as latency_table
from experiments.bench.latency import suite as bench_latency
from experiments.commands import bench, compare, demo
from experiments.commands.bench import SUITES
from experiments.records import curves
from experiments.records.results import Value, append_values
from experiments.shell.folders import config_dir
from experiments.shell.shadowing import ROOT

from .commands.test_bench import TINY, timing


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def fast(monkeypatch):
    """The latency suite without its seconds of measuring."""
    monkeypatch.setattr(bench_latency, "measure", lambda *_: timing())
    monkeypatch.setattr(bench_latency, "sgemm_gflops", lambda: 100.0)


def latency():
    cfg = build.compose("bench", "suite=latency", "grid=quick", "suite.planners=[cem]")
    cfg.grid = OmegaConf.create(TINY)
    return cfg


def clone(folder):
    """A repository with the committed files of this one, as a stranger has after `git clone`."""
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if name.startswith(("experiments/results/", ".gitignore")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def test_a_suite_leaves_a_clone_as_it_was(tmp_path, monkeypatch, fast, capsys):
    folder = clone(tmp_path)
    monkeypatch.chdir(folder)
    rows = bench.run(latency())
    status = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    assert status.stdout == ""
    assert len(rows) == 2  # measured here, not read from the shipped table
    assert "rows: runs/bench/latency.csv" in capsys.readouterr().out
    assert len(latency_table.read(folder / "runs/bench/latency.csv")) == 2


def test_what_happens_does_not_depend_on_the_folder(tmp_path, monkeypatch, fast, caplog):
    caplog.set_level("INFO")
    tables = []
    for folder in (clone(tmp_path / "clone"), tmp_path / "elsewhere"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        caplog.clear()
        bench.run(latency())
        assert "0 of 2 points are measured already" in caplog.text
        caplog.clear()
        bench.run(latency())  # only what was measured here counts
        assert "2 of 2 points are measured already" in caplog.text
        tables.append(latency_table.read(folder / "runs/bench/latency.csv"))
    assert [row.identity() for row in tables[0]] == [row.identity() for row in tables[1]]


def test_the_goal_suite_in_a_clone_does_not_take_shipped_rows_for_its_own(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.chdir(clone(tmp_path))
    monkeypatch.setattr("experiments.bench.goal.suite.run_steps", lambda *of: {})
    assert bench.run(build.compose("bench", "suite=goal")) == []
    assert "0 of 195 rows are measured already" in caplog.text


@pytest.mark.parametrize("suite", SUITES)
def test_shipped_rows_are_labelled_with_their_machine_and_nothing_is_written(suite, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = bench.run(build.compose("bench", f"suite={suite}", "shipped=true"))
    said = capsys.readouterr().out
    assert rows
    for machine in shipped.by_machine(suite):
        assert f"shipped with jepa-mpc, measured on {machine}, not here:" in said
        assert "core" in machine and "Linux" in machine
    assert list(tmp_path.iterdir()) == []


def test_rows_are_grouped_by_the_machine_in_their_manifest(tmp_path, capsys):
    for case, cores in (("start_to_ready_s", 2), ("bundle_mb", 16), ("delay_success", 2)):
        suite = {"suite": {"name": "delay" if case.startswith("delay") else "start"}}
        device = "1 x NVIDIA H200 (gpu)" if cores == 16 else "1 x cpu (cpu)"
        made = {"command": "c", "config": suite, "cpu": {"model": "A", "cores": cores}, "device": device}
        append_values(tmp_path / "robot_loop.csv", [Value(case, 1.0, "s")], {**made, "system": "Linux x86_64"})
    found = shipped.by_machine("start", tmp_path)
    assert {machine: [row.case for row in rows] for machine, rows in found.items()} == {
        "A, 2 cores, Linux x86_64": ["start_to_ready_s"],
        "A, 16 cores, 1 x NVIDIA H200 (gpu), Linux x86_64": ["bundle_mb"],
    }


def test_every_suite_has_a_table_and_every_shipped_row_a_machine():
    assert set(shipped.TABLES) == set(SUITES)
    assert all(shipped.by_machine(suite) for suite in shipped.TABLES)


def test_a_suite_without_shipped_rows_says_so(tmp_path, capsys):
    assert shipped.show("few_labels", tmp_path) == []
    assert "jepa-mpc ships no rows of suite=few_labels" in capsys.readouterr().out


def defaults():
    """Every command's settings, and those of every suite."""
    for command in cli.COMMANDS:
        yield command, build.compose(command)
    for suite in SUITES:
        yield suite, build.compose("bench", f"suite={suite}")


def test_no_command_writes_beside_the_shipped_rows_by_default():
    for name, cfg in defaults():
        for key in ("results", "out", "runs"):
            where = cfg.get(key) if not OmegaConf.is_missing(cfg, key) else None
            assert where is None or str(where).split("/")[0] == "runs", f"{name}: {key}={where}"
    text = "\n".join(path.read_text() for path in config_dir().rglob("*.yaml"))
    assert "experiments/results" not in text


def test_compare_says_whose_curves_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = digest(shipped.FOLDER)
    compare.run(build.compose("compare"))
    said = " ".join(capsys.readouterr().out.split())
    assert "curves: shipped with jepa-mpc, measured on AMD EPYC" in said and "not here" in said
    written = tmp_path / "runs/compare"
    assert "shipped with jepa-mpc, measured on AMD EPYC" in (written / "compare.md").read_text()
    assert "shipped with jepa-mpc" in (written / "compare.html").read_text()
    own = tmp_path / "mine.csv"
    own.write_bytes(compare.OURS.read_bytes())
    compare.run(build.compose("compare", "curves=[mine.csv]"))
    assert "shipped" not in capsys.readouterr().out
    assert digest(shipped.FOLDER) == before


@pytest.mark.parametrize("found", [True, False])
def test_the_demo_says_how_to_call_the_command(found, tmp_path, monkeypatch):
    folder = tmp_path / "my env" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "jepa-mpc"):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder) if found else os.devnull)
    monkeypatch.chdir(tmp_path)
    said = demo.how_to_call()
    if found:
        assert said == ""
    else:
        assert "`source 'my env/bin/activate'`" in said and "'my env/bin/jepa-mpc'" in said


def test_rewards_and_fine_tuning_name_their_own_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.bench.rewards.suite.run_steps", lambda *of: {})
    bench.run(build.compose("bench", "suite=rewards", "suite.tasks=[dmc/cup-catch]"))
    said = " ".join(capsys.readouterr().out.split())
    assert "jepa-mpc compare 'curves=[runs/bench/dmc_curves.csv]'" in said
    assert curves.read(Path("runs/bench/dmc_curves.csv")) == []


@pytest.mark.slow
def test_the_quick_latency_grid_from_a_real_clone(tmp_path):
    """`bench suite=latency grid=quick` in a fresh clone leaves `git status` clean."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "clone")}
    words = [sys.executable, "-m", "experiments.cli", "bench", "suite=latency", "grid=quick", "suite.planners=[cem]"]
    subprocess.run(words, cwd=tmp_path / "clone", env=environment, check=True)
    status = ["git", "status", "--porcelain"]
    assert subprocess.run(status, cwd=tmp_path / "clone", capture_output=True, check=True).stdout == b""
    manifest = json.loads((tmp_path / "clone/runs/bench/latency.manifest.json").read_text())
    assert "results" not in manifest[0]["manifest"]["command"]
