import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.engine import durations
from experiments.engine.job import Job
from experiments.engine.run import only_run
from experiments.records.results import read_csv

sys.path.insert(0, str(Path(__file__).parent))
import toy  # noqa: E402

HERE = Path(__file__).parent


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of the toy suite, which other processes find, too."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attempts").mkdir()

    def of(rows=3, workers=2, apart=False, dry_run=False, **faults):
        return OmegaConf.create(
            {
                "engine": {"name": "local", "workers": workers, "apart": apart, "cores": 1, "retries": 1},
                "suite": {"name": "toy", "rows": rows, "attempts": str(tmp_path / "attempts"), "faults": faults},
                "runs": "runs",
                "results": "bench",
                "dry_run": dry_run,
            }
        )

    return of


def attempts(tmp_path, name):
    return len((tmp_path / "attempts" / name).read_text())


def test_processes_measure_what_one_process_does(settings, tmp_path):
    apart = toy.run(settings())
    (tmp_path / "bench").rename(tmp_path / "apart")
    together = toy.run(settings(workers=1))
    assert sorted(row.seed for row in apart) == [row.seed for row in together] == [0, 1, 2]
    assert sorted(apart, key=lambda row: row.seed) == together


def test_a_step_apart_takes_nothing_along(settings, tmp_path):
    assert len(toy.run(settings(workers=1, apart=True, **{"row 0": "killed once"}))) == 3


def test_finished_rows_are_not_measured_again(settings, tmp_path):
    toy.run(settings(rows=1))
    toy.run(settings(rows=2))
    assert attempts(tmp_path, "row 0") == attempts(tmp_path, "row 1") == 1


def test_a_step_that_raises_is_named_and_others_go_on(settings, tmp_path, caplog):
    with pytest.raises(SystemExit) as stop:
        toy.run(settings(**{"data 1": "raise"}))
    assert stop.value.code == 1
    assert {row.seed for row in read_csv(tmp_path / "bench" / "toy.csv")} == {0, 2}
    assert "failed: data 1 (the disk is full)" in caplog.text
    assert "failed: row 1 (it needs data 1, which failed)" in caplog.text
    assert attempts(tmp_path, "data 1") == 1  # another attempt would end the same


def test_a_process_that_was_killed_is_started_again(settings, tmp_path, caplog):
    assert len(toy.run(settings(**{"row 1": "killed once"}))) == 3
    assert attempts(tmp_path, "row 1") == 2
    assert "row 1 is tried again, alone: its process was ended by signal 9" in caplog.text


def test_a_process_that_is_always_killed_is_given_up(settings, tmp_path, caplog):
    with pytest.raises(SystemExit):
        toy.run(settings(rows=2, **{"data 0": "killed"}))
    assert attempts(tmp_path, "data 0") == 2
    assert [row.seed for row in read_csv(tmp_path / "bench" / "toy.csv")] == [1]
    assert "its output: runs/engine/toy/" in caplog.text


def test_a_driver_that_is_killed_leaves_no_process_and_loses_nothing(settings, tmp_path):
    cfg = settings(rows=2, **{"row 1": "sleep"})
    Job.of("toy", cfg).write(tmp_path / "driver.json")
    program = "import toy; from experiments.engine.job import Job; from omegaconf import OmegaConf as O; "
    program += "from pathlib import Path as P; toy.run(O.create(Job.read(P('driver.json')).settings))"
    driver = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    asleep, measured = tmp_path / "attempts" / "row 1", tmp_path / "bench" / "toy.csv"
    until = time.monotonic() + 60
    while not (asleep.exists() and measured.exists()):
        assert time.monotonic() < until and driver.poll() is None
        time.sleep(0.05)
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    assert children
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [row.seed for row in read_csv(measured)] == [0]
    assert [row.seed for row in toy.run(settings(rows=2))] == [0, 1]
    assert attempts(tmp_path, "row 0") == 1


def test_two_runs_do_not_fill_one_table(settings, tmp_path):
    with only_run(tmp_path / "bench" / "toy.engine"), pytest.raises(ValueError, match="another run of this suite"):
        toy.run(settings())
    assert len(toy.run(settings())) == 3


def test_a_dry_run_says_what_is_left_and_runs_nothing(settings, tmp_path, capsys):
    assert toy.run(settings(dry_run=True)) == []
    assert "6 steps, 2 at a time: how long it takes is not known yet" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists() and not list((tmp_path / "attempts").iterdir())
    toy.run(settings(rows=1))
    toy.run(settings(dry_run=True))
    printed = capsys.readouterr().out
    assert "row 0" not in printed and "row 1" in printed and "4 steps, 2 at a time: about 1 min" in printed


def test_durations_are_kept_by_kind_and_number_of_cores(settings, tmp_path):
    toy.run(settings())
    found = durations.known(tmp_path / "runs" / "engine" / "steps.csv", "toy", 1)
    assert {kind: len(seconds) for kind, seconds in found.items()} == {"data": 3, "row": 3}
    assert durations.known(tmp_path / "runs" / "engine" / "steps.csv", "toy", 2) == {}


def test_jobs_are_written_whole(settings, tmp_path):
    job = Job.of("toy", settings())
    job.write(tmp_path / "job.json")
    assert Job.read(tmp_path / "job.json") == job
    assert json.loads((tmp_path / "job.json").read_text())["settings"]["suite"]["rows"] == 3
    assert job.at("elsewhere", "rows").settings["runs"] == "elsewhere"
