import json
import math

import numpy as np
import pytest

from planning.control import Planning, Reason, Source, Telemetry
from planning.control.plan_log import replay
from planning.control.telemetry import PlanReport, as_line, read_lines

from .loops import PERIOD, Loop, Rig, make_engine, with_mass


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
    with pytest.raises(ValueError, match="line 1 is no JSON object"):
        list(read_lines(path))


def test_lines_are_dropped_and_counted_rather_than_waited_for(tmp_path, caplog):
    log = Telemetry(tmp_path / "run.jsonl", capacity=3)
    for step in range(10):
        log.write(report(step))
    assert log.dropped == 7 and len(caplog.records) == 1
    log.close()


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
