"""Pictures of simulation states as a sensor: many at once, in parallel processes without JAX.

A picture depends on the state alone, and is the same bit for bit in every process of one machine.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import weakref
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from ..cores import available_cores
from ..pipes import end, receive, send, write
from ..sensors import PIXELS as PIXELS
from ..sensors import Sensor

logger = logging.getLogger(__name__)

SAMPLES = 4  # of a pixel: without them a body moves in whole pixels only
WORTH_WORKERS = 2_000  # pictures that outweigh the second that a worker takes to start
_CHUNK = 1_024  # pictures a process draws at a time: 12.6 MB of 64 × 64


class Pictures:
    """Renderer of batches of states through one camera, without the goal's marks.

    Its OpenGL context and its worker processes start when they are first used, and end with `close`.

    Args:
      model: of the states.
      camera: name of a camera of the model.
      size: width and height in pixels.
    """

    def __init__(self, model: mujoco.MjModel, camera: str, size: int):
        self._model, self._camera, self._size = model, camera, size
        self._own: Any = None
        self._processes: list[subprocess.Popen[bytes]] | None = None
        self._finalizer: Any = None

    def of(self, model: mujoco.MjModel) -> Pictures:
        """Return a renderer of another model with the same states, through the camera of the same name."""
        return Pictures(model, self._camera, self._size)

    def sensor(self, name: str) -> Sensor:
        """Return the sensor that these pictures are the readings of."""
        return Sensor(name, (self._size, self._size, 3), "uint8", interpolates=False)

    def __call__(self, states: Float[ndarray, "... S"]) -> UInt8[ndarray, "... h w 3"]:
        """Draw each state.

        Raises:
          RuntimeError: no OpenGL context can be made on this machine.
        """
        flat = states.reshape(-1, states.shape[-1])
        out = np.empty((len(flat), self._size, self._size, 3), np.uint8)
        if len(flat) < WORTH_WORKERS:
            self._draw(flat, out)
        else:
            self._share(flat, out)
        return out.reshape((*states.shape[:-1], *out.shape[1:]))

    def close(self) -> None:
        """Free the context and end the processes; both start again when needed."""
        if self._own is not None:
            self._own.close()
            self._own = None
        if self._finalizer is not None:
            self._finalizer()
        self._processes = self._finalizer = None

    def _draw(self, states: Float[ndarray, "M S"], out: UInt8[ndarray, "M h w 3"]) -> None:
        """Draw states in this process."""
        if self._own is None:
            from .camera import Camera  # OpenGL is loaded only for drawing

            self._own = Camera(self._model, self._size, self._size, name=self._camera, marks=False, samples=SAMPLES)
        for index, state in enumerate(states):
            out[index] = self._own.frame(state)

    def _share(self, states: Float[ndarray, "M S"], out: UInt8[ndarray, "M h w 3"]) -> None:
        """Draw states in this process and its workers, a chunk each at a time."""
        if self._processes is None:
            self._processes = self._started(available_cores() - 1)
            self._finalizer = weakref.finalize(self, end, self._processes)
        begin = 0
        while begin < len(states):
            width = min(_CHUNK, -(-(len(states) - begin) // (len(self._processes) + 1)))
            starts = range(begin, min(begin + width * (len(self._processes) + 1), len(states)), width)
            own, *theirs = (slice(start, min(start + width, len(states))) for start in starts)
            try:
                for process, part in zip(self._processes, theirs, strict=False):
                    send(process.stdin, states[part])
                self._draw(states[own], out[own])
                for process, part in zip(self._processes, theirs, strict=False):
                    out[part] = receive(process.stdout)
            except (OSError, EOFError):
                logger.warning("a process that draws has ended: pictures are drawn in this one from here on")
                self.close()
                self._processes = []
                continue
            begin += width * (len(self._processes) + 1)

    def _started(self, count: int) -> list[subprocess.Popen[bytes]]:
        """Return the started workers: none if they cannot be started or if they draw other pictures than this one."""
        data = np.empty(mujoco.mj_sizeModel(self._model), np.uint8)
        mujoco.mj_saveModel(self._model, None, data)
        rest = np.zeros((1, mujoco.mj_stateSize(self._model, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))))
        rest[0, 1 : 1 + self._model.nq] = self._model.qpos0
        expected = np.empty((1, self._size, self._size, 3), np.uint8)
        self._draw(rest, expected)
        command = [sys.executable, "-P", "-m", f"{__package__}.worker", self._camera, str(self._size)]
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        processes = [subprocess.Popen(command, env=paths, **pipes) for _ in range(count)]
        try:
            for process in processes:
                write(process.stdin, data.tobytes())
                send(process.stdin, rest)
            if all(np.array_equal(receive(process.stdout), expected) for process in processes):
                return processes
        except (OSError, EOFError):
            pass
        logger.warning("other processes do not draw the same pictures: they are drawn in this one")
        end(processes)
        return []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_own": None, "_processes": None, "_finalizer": None}
