"""What a planner process does by itself: it is slow, loud, never ready, not granted its cores, or an orphan."""

import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from planning.control import Planning, Recipe
from planning.control.worker import process_worker
from planning.control.worker.process_worker import ProcessWorker

from ..asking import Asker, until

ENGINES = """
import os, sys, time
from experiments.bench.robot.tiny_engine import make as tiny
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
    monkeypatch.setattr(process_worker, "_SHORTEST_HANG", 0.05)
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


def test_standard_error_goes_through_the_journal_and_blocks_nobody(engines, tmp_path, caplog):
    release = threading.Event()

    class Blocked(logging.Handler):
        def emit(self, record):
            release.wait()

    handler = Blocked()
    logger = logging.getLogger("planning.control.worker.process_worker")
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
    assert "the planner's process ended (exit code 3) and is restarted" in lines
    assert any(line.startswith("planner process: ") and line.endswith(" lines were left out") for line in lines)


def test_scheduling_that_is_not_granted_is_reported_and_planning_goes_on(recipe, caplog):
    lines = []
    worker = ProcessWorker(recipe, Planning(cores=(4095,)), lines.append)
    worker.start()
    until(lambda: worker.ready)
    worker.stop()
    assert "planning continues, but cores=[4095] must be some of those available to this process" in caplog.text
    assert [line["kind"] for line in lines] == ["warning"]


CONSUMER = """
import os, sys, time
from planning.control import Planning, Recipe
from planning.control.worker.process_worker import ProcessWorker

recipe = Recipe.factory("experiments.bench.robot.tiny_engine:make")
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
