"""Workers for goal environments whose step cannot be rolled out in C: one process per processor.

A worker is `python -m envs.suites.goal_worker`: it reads the environment's specification once, then states and actions,
and answers with the states after them, all as plain bytes: nothing of the caller's is imported or pickled.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import weakref
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..cores import available_cores
from ..pipes import end, receive, send, write
from .goal_simulators import AttributeSimulator, Simulator

logger = logging.getLogger(__name__)

WORTH_WORKERS = 4000  # steps in one call that outweigh the seconds that workers take to start


class Workers:
    """Simulators in worker processes, one per processor but one, in addition to that of this process.

    They are started at the first large batch, and end with `close`, or with the interpreter.

    Args:
      own: the simulator of this process.
      name: of the environment, for errors.
      env: the environment of `own`; without a specification that JSON can hold, no workers are started.
    """

    def __init__(self, own: Simulator, name: str, env: gymnasium.Env):
        self._own, self._name, self._env = own, name, env
        self._processes: list[subprocess.Popen[bytes]] | None = None
        self._finalizer: Any = None

    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """States after each action, as `Simulator.simulate` gives them."""
        if self._own.kind == "mujoco.rollout" or len(states) * actions.shape[1] < WORTH_WORKERS:
            return self._own.simulate(states, actions)
        if self._processes is None:
            if self._own.kind == AttributeSimulator.kind:
                logger.warning("%s does not run on MuJoCo: its steps are taken in Python, which is slower", self._name)
            self._processes = self._started(available_cores() - 1)
            self._finalizer = weakref.finalize(self, end, self._processes)
        shares = np.array_split(np.arange(len(states)), len(self._processes) + 1)
        try:
            for process, rows in zip(self._processes, shares[1:], strict=True):
                send(process.stdin, states[rows], actions[rows])
            parts = [self._own.simulate(states[shares[0]], actions[shares[0]])]
            for process in self._processes:
                parts.append(receive(process.stdout))
        except (OSError, EOFError):
            logger.warning(
                "a process that steps %s has ended: its steps are taken in this one from here on", self._name
            )
            self.close()
            self._processes = []
            return self._own.simulate(states, actions)
        return np.concatenate(parts)

    def close(self) -> None:
        """End the processes."""
        if self._finalizer is not None:
            self._finalizer()
        self._processes = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_processes": None, "_finalizer": None}

    def _started(self, count: int) -> list[subprocess.Popen[bytes]]:
        """Return the started workers: none if they cannot be started or if their steps differ from this process's."""
        try:
            spec = self._env.spec.to_json() if self._env.spec is not None else None
        except ValueError:  # an entry point that is not a name, such as a class defined in a notebook
            spec = None
        if spec is None:
            return []
        command = [sys.executable, "-P", "-m", f"{__package__}.goal_worker"]
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        processes = [subprocess.Popen(command, env=paths, **pipes) for _ in range(count)]
        states = self._own.get()[None]
        actions = np.zeros((1, 1, int(np.prod(self._env.action_space.shape or ()))))
        expected = self._own.simulate(states, actions)
        try:
            for process in processes:
                write(process.stdin, json.dumps({"name": self._name, "spec": spec}).encode())
                send(process.stdin, states, actions)
            if all(np.array_equal(receive(process.stdout), expected) for process in processes):
                return processes
        except (OSError, EOFError):
            pass
        logger.warning("%s cannot be stepped in other processes: its steps are taken in this one", self._name)
        end(processes)
        return []
