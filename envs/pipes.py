"""Messages to and from worker processes through pipes, as plain bytes: nothing is pickled."""

from __future__ import annotations

import contextlib
import io
import subprocess
from typing import Any

import numpy as np
from numpy import ndarray


def write(pipe: Any, data: bytes) -> None:
    """Send one message."""
    pipe.write(len(data).to_bytes(8, "little") + data)
    pipe.flush()


def read(pipe: Any) -> bytes:
    """Read the next message; EOFError at the end."""
    length = int.from_bytes(_exactly(pipe, 8), "little")
    return _exactly(pipe, length)


def send(pipe: Any, *arrays: ndarray) -> None:
    """Send arrays, each as a separate message."""
    for array in arrays:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write(pipe, buffer.getvalue())


def receive(pipe: Any) -> ndarray:
    """Receive the next array. Raises EOFError at the end."""
    array: ndarray = np.load(io.BytesIO(read(pipe)), allow_pickle=False)
    return array


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Close the pipes of worker processes and stop them."""
    for process in processes:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it died with requests unread
                    pipe.close()
        process.kill()
        process.wait()


def _exactly(pipe: Any, length: int) -> bytes:
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return bytes(data)
