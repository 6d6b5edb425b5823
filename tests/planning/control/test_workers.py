import os
import signal
import time

import numpy as np
import pytest

from planning.control import Fallback, Loop, Planning, RealtimeController, Reason, Recipe, Source
from planning.control.live_engine import LiveEngine
from planning.control.telemetry import read_lines

from .loops import GOAL, make_engine

LONG = 120.0  # seconds, for a machine that is busy with other things
LOOP = Loop(max_observation_age=1e9, late_after=1e9)  # real time passes at the machine's pace here


def until(condition, control=None):
    """Drive the loop until something is so."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, control.failure if control else "it took too long"
        if control is not None:
            control.notify_observation(np.zeros(control.contract.observation_size))
            control.get_action()
        time.sleep(0.005)


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


def test_a_thread_that_ends_is_told_and_answered(caplog):
    engine = Broken(make_engine())
    with RealtimeController(engine, LOOP, worker="thread") as control:
        control.reset(goal=GOAL)
        until(lambda: control.ready)
        engine.broken = True
        until(lambda: control.failed, control)
        control.get_action()
        assert Reason.PLANNER_DEAD in control.command.wrong and control.command.source >= Source.PREVIOUS_PLAN
    assert "RuntimeError: a bug" in control.failure


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # a process that comes back finds what the one before compiled
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("xla")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield Recipe.factory("experiments.tiny_engine:make")


def test_a_planner_process_that_is_killed_or_hangs_is_answered_at_once_and_comes_back(recipe, tmp_path):
    log = tmp_path / "run.jsonl"
    fallback = Fallback(reflex=lambda observation: [0.125])
    control = RealtimeController(recipe, LOOP, Planning(log=True), fallback, worker="process", telemetry=log)
    with control:
        control.reset(goal=[0.3, 0.0])
        until(lambda: control.ready)
        until(lambda: control.command and control.command.source == Source.PLAN, control)
        pid = control.worker.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: control.worker.dead())
        action = control.get_action()
        assert Reason.PLANNER_DEAD in control.command.wrong and control.command.source >= Source.PREVIOUS_PLAN
        assert np.isfinite(action).all()
        time.sleep(0.4)  # as long as any plan is valid
        np.testing.assert_array_equal(control.get_action(), [0.125])
        until(lambda: control.ready)
        until(lambda: control.command.source == Source.PLAN, control)
        assert control.restarts == 1 and control.worker.pid != pid
        control.worker._hang_after = 0.3
        os.kill(control.worker.pid, signal.SIGSTOP)
        until(lambda: control.restarts == 2, control)
    assert control.events.counts["planner_dead"] >= 1
    kinds = [line["kind"] for line in read_lines(log)]
    assert kinds[0] == "run" and {"step", "plan"} <= set(kinds)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_planner_process_that_never_starts_is_told(recipe, capfd):
    nowhere = Recipe(recipe.contract, {"factory": "nowhere:nothing", "arguments": {}})
    control = RealtimeController(nowhere, worker="process")
    control.worker._give_up_after = 1
    with control:
        until(lambda: control.failed)
        np.testing.assert_array_equal(control.get_action(), [0])
    assert "'nowhere:nothing' cannot be imported" in control.failure
