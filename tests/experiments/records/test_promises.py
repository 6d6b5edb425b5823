"""A suite whose promise is broken ends with code 1, whatever broke it; one that keeps them does not."""

import csv
import logging
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from experiments import build, cli
from experiments.bench.robot import real_time
from experiments.bench.robot.hostile import suite as hostile_bundles
from experiments.bench.robot.soak import suite as soak
from experiments.commands import drive
from experiments.records.promises import broken, log_level, require
from experiments.records.results import Value
from experiments.shell.shadowing import ROOT
from planning.control import RealtimeController

from ..recipe import save_random_models

SUITES = sorted(path.stem for path in (ROOT / "configs" / "suite").glob("*.yaml"))


@pytest.mark.parametrize("value", [1.0, math.nan, math.inf])
def test_more_than_was_promised_is_broken_and_so_is_no_number(value):
    assert broken({"unsafe": 0}, {"unsafe": 0.0, "other": 9.0}) == []
    (complaint,) = broken({"unsafe": 0}, {"unsafe": value})
    assert "unsafe is" in complaint and "at most 0 was promised" in complaint


def test_a_star_stands_for_every_case_and_a_case_that_was_not_measured_is_not_kept():
    values = {"alarms_reacher": 0.5, "alarms_two_room": 2.0}
    assert [each.split()[0] for each in broken({"alarms_*": 1.0}, values)] == ["alarms_two_room"]
    assert "was not measured" in broken({"alarm_*": 1.0}, values)[0]


def test_all_broken_promises_are_printed(capsys):
    suite = OmegaConf.create({"promises": {"a": 0, "b": 1}})
    require(suite, [Value("a", 0.0, ""), Value("b", 1.0, "")])
    with pytest.raises(SystemExit) as stop:
        require(suite, [Value("a", 1.0, ""), Value("b", 2.0, "")])
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("promise broken") == 2


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_says_what_it_promises(suite):
    promises = build.compose("bench", f"suite={suite}").suite.promises
    assert all(float(most) >= 0 for most in promises.values())


SHORT = ("~suite.promises.soak_unexercised",)  # a short run does not meet every kind of fault


def rows(folder):
    with (folder / "robot_loop.csv").open(newline="") as file:
        return {row["case"]: float(row["value"]) for row in csv.DictReader(file)}


def bench(tmp_path, suite, *overrides):
    return cli.main(["bench", f"suite={suite}", f"results='{tmp_path}'", *overrides])


@pytest.fixture
def no_kills(monkeypatch):
    """The loop in real time left out: it has tests of its own."""
    monkeypatch.setattr(soak, "kill_planners", lambda *_: None)


@pytest.mark.parametrize("guarded", [True, False])
def test_the_soak_fails_where_the_limiter_is_broken(tmp_path, monkeypatch, no_kills, guarded):
    get_action = RealtimeController.get_action
    if not guarded:
        monkeypatch.setattr(RealtimeController, "get_action", lambda *args: get_action(*args) + np.float32(2.0))
    code = bench(tmp_path, "soak", *SHORT, "suite.steps=60")
    assert code == (0 if guarded else 1)
    assert (rows(tmp_path)["soak_unsafe"] == 0) == guarded


def test_the_soak_leaves_the_log_level_as_it_was(tmp_path, no_kills):
    logger = logging.getLogger("planning")
    before = logger.level
    soak.run(build.compose("bench", "suite=soak", f"results='{tmp_path}'", *SHORT, "suite.steps=20"))
    assert logger.level == before


def test_a_drive_leaves_the_log_level_as_it_was(monkeypatch):
    logger = logging.getLogger("planning.control.realtime")
    before, inside = logger.level, []

    def fail(*_):
        inside.append(logger.level)
        raise ValueError

    monkeypatch.setattr(drive, "_prepare", fail)
    with pytest.raises(ValueError):
        drive.run(build.compose("drive", "task=two_room"))
    assert inside == [logging.ERROR] and logger.level == before


def test_a_level_is_restored_after_an_error():
    logger = logging.getLogger("planning.control.realtime")
    before = logger.level
    with pytest.raises(KeyError), log_level("planning.control.realtime", logging.CRITICAL):
        assert logger.level == logging.CRITICAL
        raise KeyError
    assert logger.level == before


@pytest.mark.parametrize(("line", "code"), [('{"outcome": "refused", "kind": "bit"}', 0), ("", 1)])
def test_a_bundle_that_crashes_its_process_fails_the_suite(tmp_path, monkeypatch, line, code):
    script = f"import os, sys\nfor _ in sys.stdin:\n print('{line}', flush=True) if '{line}' else os.abort()\n"

    def start(intact: Path, seed: int):
        return subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    monkeypatch.setattr(hostile_bundles, "_start", start)
    monkeypatch.setattr(hostile_bundles, "tiny", lambda: SimpleNamespace(save=Path.touch))  # nobody reads it here
    assert bench(tmp_path, "hostile_bundles", "suite.files=3", "suite.workers=1") == code
    assert rows(tmp_path)["hostile_bundles"] == (0 if code == 0 else 3)


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_the_loop_fails_where_what_it_sends_is_out_of_bounds(tmp_path, monkeypatch, guarded):
    """A planner process, a simulator and a timer for a second; how busy the machine is does not count here."""
    get_action = RealtimeController.get_action
    if not guarded:
        monkeypatch.setattr(RealtimeController, "get_action", lambda *args: get_action(*args) + np.float32(2.0))
    save_random_models(tmp_path, 0)
    small = ["suite.task=two_room", "suite.seconds=1", "suite.priorities=[0,0]", "suite.cores=[[],[]]"]
    small += ["suite.overrides=['planner.num_samples=16','planner.num_elites=4','planner.num_keep=2']"]
    checkpoint = f"suite.checkpoint='{tmp_path / 'two_room-seed0.safetensors'}'"
    cfg = build.compose("bench", "suite=loop", f"results='{tmp_path}'", checkpoint, *small)
    cfg.suite.promises["loop_100hz*_late_beyond_idle"] = 100
    if guarded:
        real_time.run(cfg)
    else:
        with pytest.raises(SystemExit) as stop:
            real_time.run(cfg)
        assert stop.value.code == 1
    assert (rows(tmp_path)["loop_100hz_ordinary_unsafe"] == 0) == guarded
