"""Worker process of `pictures`: a model and states arrive on its standard input, pictures go to its standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import BinaryIO

import mujoco
import numpy as np

from ..pipes import read, receive, send
from .camera import Camera
from .pictures import SAMPLES


def serve(requests: BinaryIO, answers: BinaryIO, camera: str, size: int) -> None:
    """Draw the requested states.

    Args:
      requests: the model, then states, as `pipes` sends them.
      answers: pictures of each request.
      camera: of the model.
      size: width and height of a picture.

    Raises:
      EOFError: the requests end.
    """
    model = mujoco.MjModel.from_binary_path("model.mjb", {"model.mjb": read(requests)})
    view = Camera(model, size, size, name=camera, marks=False, samples=SAMPLES)
    while True:
        send(answers, np.stack([view.frame(state) for state in receive(requests)]))


if __name__ == "__main__":
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps a driver's prints out of the answers
    with contextlib.suppress(EOFError, BrokenPipeError):
        serve(sys.stdin.buffer, pipe, sys.argv[1], int(sys.argv[2]))
