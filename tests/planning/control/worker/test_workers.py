import threading

import numpy as np
import pytest

from planning.control import Loop, Planning, RealtimeController, Reason, Source
from planning.control.engine.live import LiveEngine
from planning.control.worker.inline_worker import InlineWorker
from planning.control.worker.thread_worker import ThreadWorker

from ..asking import Asker, resources, situation, until
from ..loops import GOAL, make_engine

LOOP = Loop(max_observation_age=1e9, late_after=1e9)  # real time passes at the machine's pace here


def test_a_thread_plans_while_the_loop_goes_on():
    planning = Planning(validity=0.8)
    with RealtimeController(make_engine(), LOOP, planning, worker="thread") as control:
        control.reset(goal=GOAL)
        np.testing.assert_array_equal(control.get_action(), [0, 0])  # not ready, and not waiting either
        until(lambda: control.ready)
        until(lambda: control.command.source == Source.PLAN, control)
        first = control.plan.sequence
        until(lambda: control.plan.sequence > first, control)
    assert not control.ready


class Broken(LiveEngine):
    """An engine that raises once it is asked to plan in earnest."""

    def __init__(self, engine):
        super().__init__(engine.agent)
        self.broken = False

    def refine(self, state):
        if self.broken:
            raise RuntimeError("a bug")
        return super().refine(state)


def test_a_thread_that_ends_is_reported_and_answered_and_started_again(caplog):
    engine = Broken(make_engine())
    with RealtimeController(engine, LOOP, worker="thread") as control:
        control.reset(goal=GOAL)
        until(lambda: control.ready)
        engine.broken = True
        until(lambda: control.failed, control)
        control.get_action()
        assert Reason.PLANNER_FAILED in control.command.wrong and control.command.source >= Source.PREVIOUS_PLAN
        assert "RuntimeError: a bug" in control.failure
        engine.broken = False
        control.start()
        until(lambda: control.ready)
        assert not control.failed
        until(lambda: control.command.source == Source.PLAN, control)
    assert "RuntimeError: a bug" in caplog.text and "in refine" in caplog.text


def test_an_inline_planner_that_raises_is_reported_and_answered_and_started_again(caplog):
    engine = Broken(make_engine())
    worker = InlineWorker(engine, Planning(), print)
    worker.start()
    engine.broken = True
    worker.send(situation(engine.contract, 1), 0.1)
    assert worker.dead() and not worker.ready and worker.failure == "the planner raised RuntimeError: a bug"
    engine.broken = False
    worker.start()
    worker.send(situation(engine.contract, 1), 0.1)
    assert worker.receive(0.1) is not None and worker.failure is None and not worker.dead()
    worker.stop()
    assert "RuntimeError: a bug" in caplog.text


@pytest.fixture(scope="module")
def engine():
    engine = make_engine()
    engine.warmup()
    return engine


@pytest.mark.parametrize("cycles", [100, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [ThreadWorker, InlineWorker])
def test_a_worker_starts_and_stops_again_and_again_while_it_is_asked(engine, kind, cycles):
    worker = kind(engine, Planning(), print)
    contract = engine.contract
    worker.start()
    until(lambda: worker.ready)
    worker.stop()
    before = resources()
    with Asker(worker, contract) as asker:
        for cycle in range(cycles):
            worker.start()
            if cycle % 50 == 0:
                until(lambda: worker.ready)
                seen = asker.plans
                until(lambda seen=seen: asker.plans > seen)
            worker.stop()
            assert worker.dead() and not worker.ready and worker.receive(1e9) is None
    assert resources() == before and worker.failure is None


def test_a_thread_that_compiles_does_not_keep_stop_waiting_nor_meet_the_next_one():
    class Slow(LiveEngine):
        compiling, at_once = threading.Event(), 0

        def warmup(self):
            Slow.at_once += 1
            assert Slow.at_once == 1
            self.compiling.wait()
            super().warmup()
            Slow.at_once -= 1

    worker = ThreadWorker(Slow(make_engine().agent), Planning(), print)
    for _ in range(3):
        worker.start()
        worker.stop()  # while the first one compiles
        assert worker.dead()
    worker.start()
    assert not worker.dead() and not worker.ready
    Slow.compiling.set()
    until(lambda: worker.ready)
    worker.stop()
    assert worker.failure is None
