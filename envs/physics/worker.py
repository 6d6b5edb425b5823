"""Worker process of `studio`: requests arrive on its standard input, clips go to its standard output."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import BinaryIO

from ..pipes import read, send
from .drawing import Painter
from .studio import draw


def serve(requests: BinaryIO, answers: BinaryIO, size: int) -> None:
    """Draw what is requested.

    Args:
      requests: JSON, as `studio` sends it.
      answers: the arrays of each request.
      size: width and height of a picture.

    Raises:
      EOFError: the requests end.
    """
    with Painter(size) as painter:
        while True:
            drawn = draw(painter, json.loads(read(requests)))
            send(answers, drawn.pictures, drawn.rows, drawn.actions, drawn.events)


if __name__ == "__main__":
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps a driver's prints out of the answers
    with contextlib.suppress(EOFError, BrokenPipeError):
        serve(sys.stdin.buffer, pipe, int(sys.argv[1]))
