"""Priorities are set in processes of their own: the tests' process stays an ordinary one."""

import json
import os
import re
import subprocess
import sys

import pytest

from planning.control import real_time

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setscheduler"), reason="this system has no real-time priorities, and real_time says so"
)

THREADS = """
import json, os, sys, threading
from planning.control import real_time

def all_of_it():
    tasks = [int(name) for name in os.listdir("/proc/self/task")]
    return [[os.sched_getscheduler(task), os.sched_getparam(task).sched_priority] for task in tasks]

over = threading.Event()
def wait():
    thread = threading.Thread(target=over.wait)
    thread.start()
    return thread

threads, found = [wait(), wait()], {}
try:
    for priority in (2, 1, 0):
        real_time(priority)
        threads.append(wait())  # what is started later inherits it
        found[priority] = all_of_it()
except ValueError as error:
    found = str(error)
over.set()
print(json.dumps(found))
"""

PLANNERS = """
import json, os, time
from planning.control import Planning, Recipe, real_time
from planning.control.worker.process_worker import ProcessWorker

recipe = Recipe.factory("experiments.bench.robot.tiny_engine:make")
try:
    real_time(3)
except ValueError as error:
    print(json.dumps(str(error)))
    raise SystemExit
everywhere = os.sched_getaffinity(0)
cores = {0: (), 2: (min(everywhere),)}
workers = {
    priority: ProcessWorker(recipe, Planning(priority=priority, cores=cores[priority]), print) for priority in (0, 2)
}
real_time(3, {max(everywhere)})
found = {"inherited": False}
for worker in workers.values():
    worker.start()
for priority, worker in workers.items():
    while not worker.ready:
        assert worker.failure is None, worker.failure
        if worker.pid is not None:
            with open(f"/proc/{worker.pid}/maps") as file:
                at_work = "jaxlib" in file.read()
            found["inherited"] |= at_work and os.sched_getparam(worker.pid).sched_priority == 3
        time.sleep(0.01)
    tasks = [int(name) for name in os.listdir(f"/proc/{worker.pid}/task")]
    found[priority] = sorted({(os.sched_getscheduler(task), os.sched_getparam(task).sched_priority) for task in tasks})
    on = {frozenset(os.sched_getaffinity(task)) for task in tasks}
    found["cores"] = found.get("cores", True) and on == {frozenset(cores[priority] or everywhere)}
for worker in workers.values():
    worker.stop()
print(json.dumps(found))
"""

REFUSED = """
import os, resource
from planning.control import real_time
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.getuid() == 0:
    os.setuid(65534)
real_time(0)
try:
    real_time(1)
except ValueError as error:
    print(error)
"""


def output(script):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_threads_get_the_priority_and_lose_it_again():
    found = json.loads(output(THREADS))
    if isinstance(found, str):  # nobody may have one here
        assert "priority=2 is not granted: run as root, or let /etc/security/limits.conf" in found
        return
    assert {name: len(each) >= 4 for name, each in found.items()} == {"2": True, "1": True, "0": True}
    for priority, policy in ((2, os.SCHED_FIFO), (1, os.SCHED_FIFO), (0, os.SCHED_OTHER)):
        assert all(each == [policy, priority] for each in found[str(priority)]), found


def test_a_planner_process_takes_its_own_priority_and_not_that_of_the_loop():
    found = json.loads(output(PLANNERS))
    if isinstance(found, str):
        assert "priority=3 is not granted" in found
        return
    assert found == {"inherited": False, "cores": True, "0": [[os.SCHED_OTHER, 0]], "2": [[os.SCHED_FIFO, 2]]}


def test_a_priority_that_is_not_granted_is_refused_in_one_sentence():
    said = output(REFUSED)
    assert said == (
        "priority=1 is not granted: run as root, or let /etc/security/limits.conf allow you an rtprio of that much"
    )


@pytest.mark.parametrize("priority", [-1, 100, 10**6])
def test_a_priority_that_no_system_knows_is_refused(priority):
    with pytest.raises(ValueError, match=f"priority={priority} must be 0, or from 1 to {os.sched_get_priority_max(1)}"):
        real_time(priority)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


CORES = """
import json, os, threading
from planning.control import real_time

over = threading.Event()
thread = threading.Thread(target=over.wait)
thread.start()
real_time(0, [max(os.sched_getaffinity(0))])
print(json.dumps([sorted(os.sched_getaffinity(int(name))) for name in os.listdir("/proc/self/task")]))
over.set()
"""


def test_all_threads_go_to_the_cores_that_are_named():
    found = json.loads(output(CORES))
    assert len(found) >= 2 and all(cores == [max(os.sched_getaffinity(0))] for cores in found)


def test_a_core_that_is_not_there_is_refused():
    there = sorted(os.sched_getaffinity(0))
    with pytest.raises(
        ValueError, match=re.escape(f"cores=[4095] must be some of those available to this process: {there}")
    ):
        real_time(0, [4095])
    assert sorted(os.sched_getaffinity(0)) == there
