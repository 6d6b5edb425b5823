import json
import shutil

import numpy as np
import pytest

from experiments.bench.robot.tiny_engine import PERIOD, make
from experiments.commands.replay import replay_log
from planning.control import Planning, RealtimeController, Telemetry
from planning.control.loop.telemetry import read_lines
from planning.control.worker.plan_log import runs_of


@pytest.fixture(scope="module")
def engine():
    return make()


def drive(engine, path, steps, max_bytes=2**26):
    """One run of a controller, with a new episode every ten steps."""
    now, state = [0.0], np.zeros(2)
    telemetry = Telemetry(path, max_bytes=max_bytes)
    control = RealtimeController(
        engine, planning=Planning(log=True), worker="inline", clock=lambda: now[0], telemetry=telemetry
    )
    control.start()
    for step in range(steps):
        if step % 10 == 0:
            control.reset(goal=[0.3, 0.0], seed=step)
        now[0] += PERIOD
        control.notify_observation(state)
        state = state + PERIOD * np.asarray([state[1], float(control.get_action()[0])])
        telemetry.flush()
    control.stop()
    telemetry.close()


@pytest.fixture(scope="module")
def log(engine, tmp_path_factory):
    """Three runs into one path: 12 plans, 25 plans whose file turns over, and 14."""
    path = tmp_path_factory.mktemp("log") / "run.jsonl"
    drive(engine, path, 12)
    drive(engine, path, 25, max_bytes=20_000)
    assert path.with_name("run.jsonl.2").exists(), "the second run must take several files"
    drive(engine, path, 14)
    return path


def test_the_last_run_is_replayed_and_another_one_where_it_is_asked_for(engine, log, caplog):
    caplog.set_level("INFO", logger="experiments")
    result = replay_log(log, engine)
    assert (result.plans, result.different, result.run, result.runs) == (14, [], 3, 3)
    assert "run 3 of 3" in caplog.text
    assert replay_log(log, engine, run=1).plans == 12
    second = replay_log(log, engine, run=2)
    assert (second.plans, second.different) == (25, [])
    assert replay_log(log, engine, plan=5).plans == 5


def test_a_run_or_a_plan_that_is_not_there_is_named_with_where_it_is(engine, log):
    with pytest.raises(ValueError, match=r"run.jsonl does not hold the plan 22 in run 3 of 3: run 2 has it, add run=2"):
        replay_log(log, engine, plan=22)
    with pytest.raises(ValueError, match="run must be a whole number from 1 to 3, the newest; got 4"):
        replay_log(log, engine, run=4)
    with pytest.raises(ValueError, match="run must be a whole number from 1 to 3, the newest; got 'last'"):
        replay_log(log, engine, run="last")


def test_a_run_without_plans_is_told_from_one_with(engine, log, tmp_path):
    path = tmp_path / "run.jsonl"
    shutil.copy(log, path)
    with path.open("a") as file:
        file.write('{"kind":"run"}\n{"kind":"step","step":1}\n')
    with pytest.raises(
        ValueError, match=r"holds no plans in run 2 of 2: .*Planning\(log=True\); run 1 has 14, add run=1"
    ):
        replay_log(path, engine)


def test_a_header_of_another_contract_begins_a_run():
    lines = [
        {"kind": "run", "contract": 1},
        {"kind": "plan", "sequence": 3, "begin": {}},
        {"kind": "run", "contract": 1},
        {"kind": "plan", "sequence": 7},
        {"kind": "run", "contract": 2},
        {"kind": "plan", "sequence": 9, "begin": {}},
    ]
    first, second = runs_of(lines)
    assert [line["sequence"] for line in first.plans()] == [3, 7] and len(first.episodes) == 1
    assert [line["sequence"] for line in second.plans()] == [9]


def test_a_log_of_another_robot_is_refused(engine, log, tmp_path):
    lines = list(read_lines(log))
    for line in lines:
        if line["kind"] == "run":
            line["contract"]["observation"][0]["shape"] = [3]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match="run.jsonl was made with embedding_size=3, and this bundle has 2: give the"):
        replay_log(path, engine)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line.pop("weights"), "the plan 1 in the log has no weights"),
        (lambda line: line.update(observations=[[0.0]]), "the plan 1 in the log does not fit this bundle"),
        (lambda line: line.update(weights=[1.0, 2.0, 3.0, 4.0, 5.0]), "the plan 1 in the log does not fit this bundle"),
        (lambda line: line.update(iterations=10**9), "the plan 1 in the log has 1000000000 as iterations"),
        (lambda line: line.update(steps="x"), "the plan 1 in the log has 'x' as steps"),
        (lambda line: line.update(sequence="x"), "the log has a plan without a sequence number"),
    ],
)
def test_a_damaged_plan_is_named(engine, log, tmp_path, change, words):
    lines = list(read_lines(log))
    begin = max(index for index, line in enumerate(lines) if line.get("sequence") == 1)
    change(lines[begin])
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [lines[-1], *lines[begin:]]))
    with pytest.raises(ValueError, match=words):
        replay_log(path, engine)


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00\n", b"[" * 100_000 + b"\n", b"\x00\x01\n", b"7\n"])
def test_bytes_that_are_no_log_are_refused(tmp_path, content):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"kind":"run"}\n' + content)
    with pytest.raises(ValueError, match="run.jsonl, line 2 is not a JSON object"):
        list(read_lines(path))
