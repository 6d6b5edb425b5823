import contextlib
import json
import math
import resource
import threading
import time

import numpy as np
import pytest

from planning.control import Planning, Reason, Source, Telemetry
from planning.control.log.json_line import as_line
from planning.control.loop.telemetry import PlanReport, read_lines
from planning.control.worker.plan_log import replay

from ..loops import PERIOD, Loop, Rig, make_engine, with_mass


def report(step, **values):
    return PlanReport(time=0.1 * step, step=step, source=Source.HOLD, reason=Reason.NO_PLAN, action=[0.0], **values)


def test_lines_are_strict_json_and_what_is_not_finite_is_null(tmp_path):
    log = Telemetry(tmp_path / "run.jsonl")
    log.write(report(1, cost=math.nan, surprise=math.inf, terms={"goal": -math.inf}, guards=("rate",)))
    log.close()
    text = (tmp_path / "run.jsonl").read_text()
    header, line = (json.loads(each, parse_constant=pytest.fail) for each in text.splitlines())
    assert header["kind"] == "run" and line["kind"] == "step"
    assert line["cost"] is None and line["surprise"] is None and line["terms"] == {"goal": None}
    assert line["source"] == "hold" and line["reason"] == "no_plan" and line["guards"] == ["rate"]
    with pytest.raises(TypeError):
        as_line({"function": print})


def test_files_turn_over_by_size_and_are_read_in_order(tmp_path):
    path = tmp_path / "run.jsonl"
    log = Telemetry(path, max_bytes=4000, keep=2, header={"bundle_sha256": "1"})
    for step in range(60):
        log.write(report(step))
        log.flush()
    log.close()
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == ["run.jsonl", "run.jsonl.1", "run.jsonl.2"]
    assert all(file.stat().st_size <= 4000 for file in tmp_path.iterdir())
    lines = list(read_lines(path))
    steps = [line["step"] for line in lines if line["kind"] == "step"]
    assert steps == list(range(steps[0], 60)) and steps[0] > 0
    assert [line["bundle_sha256"] for line in lines if line["kind"] == "run"] == ["1"] * 3


def test_a_line_that_was_cut_off_ends_its_file_and_another_format_is_refused(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"kind":"run"}\n{"kind":"st')
    assert [line["kind"] for line in read_lines(path)] == ["run"]
    path.write_text("time,action\n1,2\n")
    with pytest.raises(ValueError, match="line 1 is not a JSON object"):
        list(read_lines(path))


def test_lines_are_dropped_and_counted_rather_than_waited_for(tmp_path, caplog):
    log = Telemetry(tmp_path / "run.jsonl", capacity=3)
    for step in range(10):
        log.write(report(step))
    assert log.dropped == 7
    log.flush()
    log.write(report(10))
    log.close()
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry: lines are dropped, because run.jsonl is too slow"
    ]
    assert summary(log.path) == ["run", 0, 1, 2, (7,), 10]


def summary(path):
    """The steps of a log; of lines that are missing, how many."""
    kinds = {"step": lambda line: line["step"], "missing": lambda line: (line["lines"],), "run": lambda line: "run"}
    return [kinds[line["kind"]](line) for line in read_lines(path)]


@contextlib.contextmanager
def full_disk(size):
    """No file can grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def test_a_full_disk_is_waited_out_and_what_is_missing_is_said(tmp_path, caplog):
    log = Telemetry(tmp_path / "run.jsonl", capacity=5)
    log.write(report(0))
    log.flush()
    with full_disk(log.path.stat().st_size + 100):  # a part of a line fits
        log.start()
        for step in range(1, 10):
            log.write(report(step))
        until(lambda: "is retried" in caplog.text)
        assert log.path.read_bytes().endswith(b"}\n")
    until(lambda: "is written again" in caplog.text)
    log.write(report(10))
    log.close()
    assert summary(log.path) == ["run", *range(6), (4,), 10] and log.dropped == 4
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]


def test_closing_on_a_full_disk_does_not_raise_and_a_later_start_says_what_was_lost(tmp_path, caplog):
    log = Telemetry(tmp_path / "run.jsonl", capacity=5)
    with full_disk(10):
        log.start()
        for step in range(9):
            log.write(report(step))
        log.close()
        assert log.dropped == 9 and "5 lines are lost, because run.jsonl cannot be written: " in caplog.text
        for _ in range(3):
            log.start()
            log.close()
        assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]
    log.start()
    log.write(report(10))
    log.close()
    assert summary(log.path) == ["run", (9,), 10]


def test_a_folder_that_is_not_there_yet_costs_no_older_file(tmp_path):
    path = tmp_path / "run.jsonl"
    for number in range(5):
        path.with_name(f"run.jsonl.{number}").write_text(str(number))
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}
    log = Telemetry(path)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    log.write(report(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        for _ in range(5):
            with pytest.raises(OSError):
                log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before
    log.close()


def test_a_line_that_cannot_be_logged_is_dropped_and_those_behind_it_are_written(tmp_path, caplog):
    log = Telemetry(tmp_path / "run.jsonl")
    log.start()
    log.write({"kind": "plan", "function": len})
    log.write(report(1))
    log.close()
    assert summary(log.path) == ["run", (1,), 1] and "builtin_function_or_method cannot be logged" in caplog.text


def test_it_starts_and_ends_again_and_again_from_two_threads_at_once(tmp_path):
    log, before = Telemetry(tmp_path / "run.jsonl", keep=1), set(threading.enumerate())

    def cycle():
        for step in range(100):
            log.start()
            log.write(report(step))
            log.close()

    threads = [threading.Thread(target=cycle) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.dropped == 0
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_bytes", 0), ("max_bytes", -1), ("keep", -1), ("keep", True), ("capacity", 0), ("capacity", False)],
)
def test_sizes_that_make_no_sense_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number, . or more; got {value}"):
        Telemetry(tmp_path / "run.jsonl", **{name: value})
    with pytest.raises(ValueError, match="is a folder"):
        Telemetry(tmp_path)


@pytest.fixture(scope="module")
def engine():
    return make_engine()


@pytest.fixture
def lines(engine, tmp_path):
    loop = Loop(actuation_delay=PERIOD, latency=lambda: float(rng.uniform(0, 2.5 * PERIOD)), max_observation_age=1e9)
    rng = np.random.default_rng(0)
    rig = Rig(engine, loop, Planning(log=True), delay=1, telemetry=tmp_path / "run.jsonl")
    for step in range(40):
        rig.step(*[None] * int(rng.uniform() < 0.2))
        if step == 20:
            rig.control.reset(goal=[0.0, -0.2], seed=4)
        if step == 30:
            rig.control.weights = {"goal": 2.0}
    rig.control.weights = {"goal": 1.0}
    rig.control.stop()
    return [line for line in read_lines(tmp_path / "run.jsonl") if line["kind"] == "plan"]


def test_every_logged_plan_can_be_made_again_bit_for_bit(engine, lines):
    starts = [index for index, line in enumerate(lines) if "begin" in line]
    assert len(starts) == 2 and any(line["frozen"] for line in lines)
    for first, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        episode = lines[first:end]
        actions, different = replay(engine, episode)
        assert len(episode) > 5 and different == []
        np.testing.assert_array_equal(actions, np.float32(episode[-1]["actions"]))
    chosen = lines[3]
    actions, different = replay(engine, lines[: starts[1]], until=chosen["sequence"])
    np.testing.assert_array_equal(actions, np.float32(chosen["actions"]))


def test_another_model_does_not_pass_for_the_one_that_planned(engine, lines):
    _, different = replay(with_mass(engine, np.float32(1.001)), lines[:5])
    assert different


def test_a_log_with_a_hole_is_refused(engine, lines):
    with pytest.raises(ValueError, match="the log misses the plan"):
        replay(engine, [*lines[:3], *lines[4:]])
    with pytest.raises(ValueError, match="does not hold the beginning"):
        replay(engine, lines[1:])
