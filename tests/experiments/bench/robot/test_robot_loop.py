import numpy as np
import pytest

from experiments.bench.robot.soak.faults import KINDS
from experiments.bench.robot.soak.loop import DECLARED, VirtualLoop
from experiments.bench.robot.tiny_engine import PERIOD, make
from experiments.commands.replay import exit_code, replay_log
from planning.control import Planning, RealtimeController, Telemetry


@pytest.fixture(scope="module")
def engine():
    return make()


@pytest.fixture(scope="module")
def log(engine, tmp_path_factory):
    path, now = tmp_path_factory.mktemp("log") / "run.jsonl", [0.0]
    telemetry = Telemetry(path, header={"bundle_sha256": "abc"})
    control = RealtimeController(
        engine, planning=Planning(log=True), worker="inline", clock=lambda: now[0], telemetry=telemetry
    )
    control.start()
    state = np.zeros(2)
    for step in range(30):
        if step % 15 == 0:
            control.reset(goal=[0.3, 0.0], seed=step)
        now[0] += PERIOD
        control.notify_observation(state)
        state = state + PERIOD * np.asarray([state[1], float(control.get_action()[0])])
    control.stop()
    telemetry.header["bundle_sha256"] = "abc"
    telemetry.close()
    return path


def test_all_plans_of_a_log_come_out_again(engine, log):
    result = replay_log(log, engine)
    assert result.plans == 30 and result.different == [] and exit_code(result) == 0
    assert replay_log(log, engine, plan=20).plans == 5


def test_another_model_is_told_by_its_plans_and_another_bundle_by_its_hash(log, caplog):
    result = replay_log(log, make(mass=1.01), sha256="def")
    assert result.different and exit_code(result) == 1 and not result.same_bundle
    assert "this is not the bundle that made the log" in caplog.text


def test_a_log_without_plans_is_refused(engine, log, tmp_path):
    with pytest.raises(ValueError, match="does not hold the plan 99"):
        replay_log(log, engine, plan=99)
    empty = tmp_path / "run.jsonl"
    empty.write_text('{"kind":"run"}\n')
    with pytest.raises(ValueError, match="holds no plans"):
        replay_log(empty, engine)


@pytest.mark.parametrize("declared", DECLARED)
def test_the_soak_finds_nothing_unsafe_and_answers_every_fault(declared):
    loop = VirtualLoop(seed=3, declared=declared, share=0.1)
    for number in range(1, 1500):
        loop.step(number)
    counts = loop.totals
    assert counts["faulty_steps"] > 250 and sum(counts[f"fault_{kind}"] > 0 for kind in KINDS) == len(KINDS)
    assert not [name for name in counts if name.startswith(("unsafe", "unanswered")) and counts[name]], counts
