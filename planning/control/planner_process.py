"""What a planner process runs: it is told by its standard input what to plan with, and dies when that closes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Any

from .cycle import PlanningCycle
from .mailbox import Mailbox, mapped
from .messages import plan_type, request_type
from .planning import Planning
from .recipe import make_engine
from .scheduling import real_time
from .telemetry import as_line


def main() -> None:
    """Answer situations until there is nobody who asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt at the terminal is the other process's to handle
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between our lines

    def tell(line: dict[str, Any]) -> None:
        data = as_line(line).encode()
        while data:
            data = data[os.write(output, data) :]

    try:
        order = json.loads(_first_line())
        planning = Planning.from_json(order["planning"])
        engine = make_engine(order["engine"])
        sizes = request_type(engine.contract).itemsize, plan_type(engine.contract).itemsize
        files = map(int, sys.argv[1:3])
        maps = [mapped(file, Mailbox.room(size)) for file, size in zip(files, sizes, strict=True)]
        requests, plans = (Mailbox(*pair) for pair in zip(maps, sizes, strict=True))
        cycle = PlanningCycle(engine, planning, tell)
        cycle.warmup()
        real_time(planning.priority, planning.cores)
    except Exception as error:
        tell({"kind": "failed", "error": f"{type(error).__name__}: {error}"})
        raise
    tell({"kind": "ready"})
    while True:
        message = requests.read()
        if message is None:
            if select.select([0], [], [], 1.0)[0] and not os.read(0, 2**16):
                return
            continue
        answer = cycle.answer(message)
        if answer is not None:
            plans.write(answer)


def _first_line() -> bytes:
    """Without reading further: what comes after it are only rings."""
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(0, 2**20)
        if not piece:
            sys.exit(0)
        data += piece
    return data


if __name__ == "__main__":
    main()
