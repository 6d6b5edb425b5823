import contextlib
import gc
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from planning.control import Bundle, Fallback, Loop, Planning, RealtimeController, Reason, Recipe, Source
from planning.control import process_worker as process_worker_module
from planning.control.bundle import ReplacedBundleError
from planning.control.inline_worker import InlineWorker
from planning.control.live_engine import LiveEngine
from planning.control.messages import request_type
from planning.control.process_worker import ProcessWorker
from planning.control.recipe import make_engine as make_engine_of
from planning.control.telemetry import read_lines
from planning.control.thread_worker import ThreadWorker

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


def situation(contract, number):
    """What a loop asks for at its step `number`."""
    request = np.zeros((), request_type(contract))
    request["number"], request["stamp"], request["weights"] = number, number * contract.control_period, 1.0
    request["known"] = contract.history + min(number, contract.action_block)
    return request.tobytes()


class Asker:
    """A thread that asks for plans all the time; whatever it raises is kept."""

    def __init__(self, worker, contract):
        self.worker, self.contract, self.errors, self.plans = worker, contract, [], 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        assert self.errors == []

    def _ask(self):
        number, worker = 0, self.worker
        while not self._over.is_set():
            number += 1
            try:
                worker.send(situation(self.contract, number), number * self.contract.control_period)
                self.plans += worker.receive(number * self.contract.control_period) is not None
                assert worker.dead() in (True, False) and worker.ready in (True, False)
            except Exception as error:
                self.errors.append(error)
                return
            time.sleep(0.0005)


def resources():
    """Threads, descriptors and child processes of this process."""
    gc.collect()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    threads = sorted(thread.name for thread in threading.enumerate())
    return threads, len(os.listdir("/proc/self/fd")), len(children.split())


def shared_memory():
    """Pieces of shared memory that are mapped here."""
    with open("/proc/self/maps") as file:
        return file.read().count("memfd:jepa-mpc")


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


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # a process that comes back finds what the one before compiled
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("xla")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield Recipe.factory("experiments.tiny_engine:make")


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
    (tmp_path / "later.py").write_text("from experiments.tiny_engine import make\n")
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
    assert "is started again" in caplog.text


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


ENGINES = """
import os, sys, time
from experiments.tiny_engine import make as tiny
from planning.control import LiveEngine

class Slow(LiveEngine):
    def refine(self, state):
        time.sleep(0.3)
        return super().refine(state)

def slow():
    return Slow(tiny().agent, "line")

def never():
    while True:
        time.sleep(1)

def loud(once):
    for number in range(20_000):
        print(f"complaint {number}", file=sys.stderr)
    print("a line on standard output")
    if not os.path.exists(once):
        open(once, "w").close()
        os._exit(3)
    return tiny()
"""


@pytest.fixture
def engines(recipe, tmp_path, monkeypatch):
    """Recipes of the engines above."""
    (tmp_path / "engines.py").write_text(ENGINES)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name, **arguments: Recipe(recipe.contract, {"factory": f"engines:{name}", "arguments": arguments})


def test_a_plan_that_takes_long_each_time_is_no_hang(engines, recipe, monkeypatch):
    monkeypatch.setattr(process_worker_module, "_SHORTEST_HANG", 0.05)
    worker = ProcessWorker(engines("slow"), Planning(), print)
    worker.start()
    until(lambda: worker.ready)
    with Asker(worker, recipe.contract) as asker:
        until(lambda: asker.plans >= 3)
    assert worker.restarts == 0
    worker.stop()


def test_a_start_that_takes_too_long_is_ended_and_reported(engines):
    worker = ProcessWorker(engines("never"), Planning(start_timeout=0.3), print, give_up_after=2)
    worker.start()
    until(lambda: worker.failure)
    assert worker.failure == "the planner's process does not start: not ready within start_timeout=0.3 s"
    worker.stop()


def test_another_engine_than_the_one_that_was_validated_is_refused_at_once(recipe):
    spec = {"factory": "experiments.tiny_engine:make", "arguments": {"num_samples": 8}}
    contract = json.loads(json.dumps(recipe.contract.to_json()))
    another = type(recipe.contract).from_json({**contract, "task": "another"})
    worker = ProcessWorker(Recipe(another, spec), Planning(), print)
    worker.start()
    until(lambda: worker.failure)
    assert "the engine's contract is not the one that was validated" in worker.failure and worker.restarts == 0
    worker.stop()


def test_standard_error_goes_through_the_journal_and_blocks_nobody(engines, tmp_path, caplog):
    release = threading.Event()

    class Blocked(logging.Handler):
        def emit(self, record):
            release.wait()

    handler = Blocked()
    logger = logging.getLogger("planning.control.process_worker")
    logger.addHandler(handler)
    try:
        worker = ProcessWorker(engines("loud", once=str(tmp_path / "once")), Planning(), print)
        worker.start()
        until(lambda: worker.ready)  # although nobody takes its lines, nor those of its supervisor
        assert worker.restarts == 1
        worker.stop()
        release.set()
        worker.stop()
    finally:
        release.set()
        logger.removeHandler(handler)
    lines = [record.getMessage() for record in caplog.records]
    assert "planner process: complaint 0" in lines and len(lines) < 500
    assert "the planner's process ended (exit code 3) and is started again" in lines
    assert any(line.startswith("planner process: ") and line.endswith(" lines were left out") for line in lines)


def test_scheduling_that_is_not_granted_is_reported_and_planning_goes_on(recipe, caplog):
    lines = []
    worker = ProcessWorker(recipe, Planning(cores=(4095,)), lines.append)
    worker.start()
    until(lambda: worker.ready)
    worker.stop()
    assert "planning goes on, but cores=[4095] must be some of those that this process has" in caplog.text
    assert [line["kind"] for line in lines] == ["warning"]


CONSUMER = """
import os, sys, time
from planning.control import Planning, Recipe
from planning.control.process_worker import ProcessWorker

recipe = Recipe.factory("experiments.tiny_engine:make")
worker = ProcessWorker(recipe, Planning(), print)
worker.start()
while worker.pid is None or (sys.argv[1] == "ready" and not worker.ready):
    time.sleep(0.01)
holder = os.fork()
if holder == 0:
    time.sleep(600)  # with all pipes open
    os._exit(0)
print(worker.pid, holder, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("moment", ["starting", pytest.param("ready", marks=pytest.mark.slow)])
def test_a_planner_ends_with_its_parent_although_a_forked_child_holds_its_pipes(recipe, moment):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", CONSUMER, moment]
    consumer = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    planner, holder = map(int, consumer.stdout.readline().split())
    try:
        consumer.wait()
        until(lambda: not running(planner))
        assert running(holder)
    finally:
        os.kill(holder, signal.SIGKILL)
        consumer.stdout.close()


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
