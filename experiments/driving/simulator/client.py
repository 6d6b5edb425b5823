"""MuJoCo in a separate process, stepped at the physics rate like a robot; it never imports JAX.

`Simulator` starts the process and talks to it over two pipes. In lockstep the physics wait for an answer at every
control instant; in real time they never wait: the last action is held, and a control instant without an
answer before its deadline is counted as late.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import Any, final

import numpy as np
from numpy import ndarray

import envs
from envs import faults
from envs.mocap import MocapPhysics
from envs.mujoco_task import MujocoTask

from .messages import ACT, RESET, Seen, Setup, answer_type, read_observation, seen_type

START = "from experiments.driving.simulator.server import main; main()"


@final
class Simulator:
    """Controller's side of the simulator process.

    Raises:
      ValueError: a task without physics to step, or a fault that does not apply to it.
    """

    def __init__(self, setup: Setup):
        task = envs.make(setup.task)
        if not isinstance(task, MujocoTask):
            raise ValueError(f"{setup.task} has no MuJoCo model that could be stepped at the physics rate")
        if task.model.nu == 0 or isinstance(task.physics, MocapPhysics):  # whose fingers alone have some
            raise ValueError(
                f"{setup.task} has no actuators that could be driven at the physics rate: drive another task"
            )
        if setup.fault is not None and setup.fault not in faults.names(task):
            raise ValueError(f"fault={setup.fault} is not known: choose from {', '.join(faults.names(task))}")
        task = setup.make()
        self._seen, self._answer = seen_type(task), answer_type(task)
        self._rest, self._count, self._episode = b"", 0, -1
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, json.dumps(asdict(setup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            bufsize=0,
            start_new_session=True,  # the controller handles an interrupt at the terminal
        )

    @property
    def pid(self) -> int:
        """Process ID of the simulator."""
        return self._process.pid

    def reset(self, state: ndarray) -> None:
        """Begin another episode in `state` [S]; records of earlier episodes are dropped."""
        self._episode += 1
        self._send(RESET, 0, None, state)

    def act(self, action: ndarray, tick: int) -> None:
        """Send `action` [A] in answer to the observation at `tick`."""
        self._send(ACT, tick, action, None)

    def receive(self) -> list[Seen]:
        """Return the records since the last call: at least one, in real time possibly several.

        Raises:
          ConnectionError: the process has ended.
        """
        size, output = self._seen.itemsize, self._process.stdout
        assert output is not None
        while True:
            data = os.read(output.fileno(), 1 << 16)
            if not data:
                self._ended()
            self._rest += data
            whole = len(self._rest) // size * size
            records, self._rest = np.frombuffer(self._rest[:whole], self._seen), self._rest[whole:]
            found = [self._read(record) for record in records if record["episode"] == self._episode]
            self._count += len(found)
            if found:
                return found

    def close(self) -> None:
        """End the process; closing twice is harmless."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, record: Any) -> Seen:
        values = {name: record[name] for name in self._seen.names or ()}
        numbers = {name: value.item() for name, value in values.items() if name != "observation" and value.ndim == 0}
        return Seen(**numbers, observation=read_observation(record), state=values["state"].copy())

    def _send(self, kind: int, tick: int, action: ndarray | None, state: ndarray | None) -> None:
        record = np.zeros((), self._answer)
        record["kind"], record["episode"], record["tick"] = kind, self._episode, tick
        if action is not None:
            record["action"] = action
        if state is not None:
            record["state"] = state
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(record.tobytes())
        except BrokenPipeError:
            self._ended()

    def _ended(self) -> None:
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise ConnectionError(f"the simulator's process {how} after {self._count} physics records: start it again")
