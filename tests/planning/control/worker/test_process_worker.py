import contextlib
import json
import os
import resource
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from planning.control import Bundle, Fallback, Loop, Planning, RealtimeController, Reason, Recipe, Source
from planning.control.bundle.bundle import ReplacedBundleError
from planning.control.loop.telemetry import read_lines
from planning.control.worker.process_worker import ProcessWorker
from planning.control.worker.recipe import make_engine as make_engine_of

from ..asking import Asker, resources, shared_memory, until
from ..loops import make_engine

LOOP = Loop(max_observation_age=1e9, late_after=1e9)  # real time passes at the machine's pace here


def test_a_planner_process_that_is_killed_or_hangs_is_answered_at_once_and_comes_back(recipe, tmp_path):
    log = tmp_path / "run.jsonl"
    fallback = Fallback(reflex=lambda observation: [0.125])
    planning = Planning(log=True, hang_after=0.5)
    control = RealtimeController(recipe, LOOP, planning, fallback, worker="process", telemetry=log)
    with control:
        control.reset(goal=[0.3, 0.0])
        until(lambda: control.ready)
        until(lambda: control.command and control.command.source == Source.PLAN, control)
        pid = control.worker.pid
        assert os.getpgid(pid) == pid  # Ctrl-C at the terminal reaches only this process
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
        os.kill(control.worker.pid, signal.SIGSTOP)
        until(lambda: control.restarts == 2, control)
    assert control.events.counts["planner_dead"] >= 1
    kinds = [line["kind"] for line in read_lines(log)]
    assert kinds[0] == "run" and {"step", "plan"} <= set(kinds)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_planner_process_starts_and_stops_again_and_again_while_it_is_asked(recipe):
    worker = ProcessWorker(recipe, Planning(), print)
    assert not worker.dead() and worker.receive(0.0) is None
    worker.stop()  # before any start
    before = resources()
    with Asker(worker, recipe.contract) as asker:
        for cycle in range(40):
            starts = [threading.Thread(target=worker.start) for _ in range(2)]
            for thread in starts:
                thread.start()
            for thread in starts:
                thread.join()
            assert worker.failure is None and worker.restarts == 0 and not worker.dead()
            if cycle % 20 == 0:
                until(lambda: worker.ready)
                seen = asker.plans
                until(lambda seen=seen: asker.plans > seen)
            stops = [threading.Thread(target=worker.stop) for _ in range(1 + cycle % 2)]
            for thread in stops:
                thread.start()
            for thread in stops:
                thread.join()
            assert worker.dead() and not worker.ready and worker.receive(0.0) is None
    threads, descriptors, children = resources()
    assert (threads, descriptors, children) == before and shared_memory() == 0


def test_a_planner_process_that_never_starts_is_reported_and_start_tries_again(recipe, tmp_path, monkeypatch, caplog):
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"factory": "later:make", "arguments": {}}
    worker = ProcessWorker(Recipe(recipe.contract, spec), Planning(), print, give_up_after=1)
    worker.start()
    until(lambda: worker.failure)
    assert worker.dead() and "'later:make' cannot be imported" in worker.failure
    (tmp_path / "later.py").write_text("from experiments.bench.robot.tiny_engine import make\n")
    worker.start()
    until(lambda: worker.ready)
    assert worker.failure is None and not worker.dead()
    worker.stop()
    assert "planner process: ModuleNotFoundError: No module named 'later'" in caplog.text


@contextlib.contextmanager
def no_descriptors():
    """Not one file more can be opened."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/proc/self/fd")))
    kept = [os.dup(0) for _ in range(most)]  # so that all numbers below are taken
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(*kept, most) + 1, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for descriptor in kept:
            os.close(descriptor)


def test_a_process_that_cannot_be_spawned_is_tried_again_and_then_reported(recipe, caplog):
    worker = ProcessWorker(recipe, Planning(), print)
    worker.stop()
    before = resources()
    with no_descriptors():
        worker.start()
        until(lambda: worker.failure)
        assert "OSError: [Errno 24] Too many open files" in worker.failure and worker.dead()
        worker.start()
        assert worker.failure is None
        until(lambda: worker.restarts)
    until(lambda: worker.ready)
    assert worker.failure is None
    worker.stop()
    assert resources() == before
    assert "is restarted" in caplog.text


def test_a_bundle_that_was_replaced_is_refused_at_once(tmp_path):
    path = tmp_path / "model.bundle"
    bundle = Bundle.of(make_engine().agent)
    bundle.save(path)
    recipe = Recipe.bundle(path, cache=True)
    worker = ProcessWorker(recipe, Planning(), print)
    worker.start()
    until(lambda: worker.ready)
    replace(bundle, guards={"another": "model"}).save(path)  # sound in itself
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: worker.failure)
    assert worker.restarts == 1 and worker.dead()
    assert "model.bundle is not the file that was validated (SHA-256 " in worker.failure
    assert worker.failure.endswith("put that file back, or create a new controller to use this one")
    with pytest.raises(ReplacedBundleError):
        make_engine_of(recipe.spec)  # the fallback's reflex is the same model, or none
    bundle.save(path)
    worker.start()
    until(lambda: worker.ready)
    assert worker.failure is None
    worker.stop()


def test_another_engine_than_the_one_that_was_validated_is_refused_at_once(recipe):
    spec = {"factory": "experiments.bench.robot.tiny_engine:make", "arguments": {"num_samples": 8}}
    contract = json.loads(json.dumps(recipe.contract.to_json()))
    another = type(recipe.contract).from_json({**contract, "task": "another"})
    worker = ProcessWorker(Recipe(another, spec), Planning(), print)
    worker.start()
    until(lambda: worker.failure)
    assert "the engine's contract is not the one that was validated" in worker.failure and worker.restarts == 0
    worker.stop()
