"""Main function of a planner process: standard input has its engine and settings, and it ends with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..bundle.bundle import ReplacedBundleError
from ..engine.interface import Engine
from ..log.json_line import as_line
from .cycle import PlanningCycle
from .mailbox import Mailbox, mapped
from .messages import plan_type, request_type
from .recipe import make_engine
from .scheduling import real_time
from .settings import Planning

_PR_SET_PDEATHSIG = 1


class ChangedContractError(ValueError):
    """The engine is not the one that was validated."""


def main() -> None:
    """Answer situations until the other side closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process handles an interrupt at the terminal
    end_with(int(sys.argv[3]))
    output = os.dup(1)
    os.dup2(2, 1)  # a library's output must not get between our lines

    def send(line: dict[str, Any]) -> None:
        data = as_line(line).encode()
        while data:
            data = data[os.write(output, data) :]

    try:
        order = json.loads(_first_line())
        planning = Planning.from_json(order["planning"])
        engine = make_engine(order["engine"])
        if json.loads(json.dumps(engine.contract.to_json())) != order["contract"]:
            raise ChangedContractError(
                "the engine's contract is not the one that was validated: create a new controller to use this engine"
            )
        sizes = request_type(engine.contract).itemsize, plan_type(engine.contract).itemsize
        files = map(int, sys.argv[1:3])
        maps = [mapped(file, Mailbox.room(size)) for file, size in zip(files, sizes, strict=True)]
        requests, plans = (Mailbox(*pair) for pair in zip(maps, sizes, strict=True))
        cycle = PlanningCycle(engine, planning, send)
        cycle.warmup()
        seconds = iteration_seconds(engine)
    except Exception as error:
        final = isinstance(error, ReplacedBundleError | ChangedContractError)
        if not final:
            traceback.print_exc()
        send({"kind": "failed", "error": f"{type(error).__name__}: {error}", "final": final})
        sys.exit(1)
    for refusal in scheduled(planning, order["cores"]):
        send({"kind": "warning", "text": f"planning continues, but {refusal}"})
    send({"kind": "ready", "seconds": seconds})
    while True:
        message = requests.read()
        if message is None:
            if select.select([0], [], [], 1.0)[0] and not os.read(0, 2**16):
                return
            continue
        answer = cycle.answer(message)
        if answer is not None:
            plans.write(answer)


def end_with(parent: int) -> None:
    """End this process when the process `parent` has ended: also during a compilation, whoever holds its pipes.

    The signal comes when the thread that started this process ends: that is its supervisor, and nothing else would
    end it. Where the system has no such signal, the parent's process id changes when it ends.
    """
    before = os.getppid()  # `parent`, unless a launcher starts Python here

    def watch() -> None:
        with contextlib.suppress(ProcessLookupError):
            while os.getppid() == before:
                os.kill(parent, 0)
                time.sleep(0.5)
        os._exit(1)

    with contextlib.suppress(OSError, AttributeError):  # Linux alone has it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def scheduled(planning: Planning, cores: Sequence[int]) -> list[str]:
    """Set the declared priority and cores; returns what the system refused, and why.

    Where no cores are declared, or they are not granted, `cores` are used.
    """
    refusals: list[str] = []
    for chosen in (planning.cores or cores, cores, ()):
        try:
            real_time(planning.priority, chosen)
            break
        except ValueError as error:
            if str(error) not in refusals:
                refusals.append(str(error))
    return refusals


def iteration_seconds(engine: Engine) -> float:
    """Measure one iteration on a plan, in seconds: no plan takes less, whatever its deadline."""
    zeros = np.zeros(engine.contract.embedding_size, np.float32)
    state = jax.block_until_ready(engine.observe(engine.begin(zeros, seed=0, episode=0), zeros))
    began = time.perf_counter()
    jax.block_until_ready(engine.refine(state))
    return time.perf_counter() - began


def _first_line() -> bytes:
    """Read one line and nothing beyond it: the rest is wake-ups only."""
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(0, 2**20)
        if not piece:
            sys.exit(0)
        data += piece
    return data


if __name__ == "__main__":
    main()
