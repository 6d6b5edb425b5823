"""Asking a worker for plans, and what a worker may leave behind."""

import gc
import os
import subprocess
import threading
import time

import numpy as np

from planning.control.worker.messages import request_type

LONG = 120.0  # seconds, for a machine that is busy with other things


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
