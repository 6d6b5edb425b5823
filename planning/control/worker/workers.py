"""Workers that run the planner: inline, in a thread, or in a separate process that may die and be restarted.

All three take the newest situation and give the newest plan through mailboxes, so the loop's own side is the same code
in each case, and never waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy import ndarray

from ..engine.contract import Contract
from ..engine.interface import Engine
from .inline_worker import InlineWorker
from .process_worker import ProcessWorker
from .recipe import Recipe, make_engine
from .settings import Log, Planning
from .thread_worker import ThreadWorker


@runtime_checkable
class Worker(Protocol):
    """Answers situations with plans.

    Any thread may call any method at any time. `start` and `stop` may be called any number of times. Only
    they may take time: no other method waits for the planner, or for a log.
    """

    @property
    def failure(self) -> str | None:
        """Reason why it has given up since the last `start`; None while it has not."""
        ...

    @property
    def restarts(self) -> int:
        """Number of automatic restarts of the planner since the last `start`."""
        ...

    @property
    def ready(self) -> bool:
        """Whether everything is compiled."""
        ...

    def start(self) -> None:
        """Start, unless it runs; `ready` becomes true some time later. Also after `stop`, and after a failure."""

    def stop(self) -> None:
        """End, and release everything."""

    def send(self, message: bytes, now: float) -> None:
        """Pass a newer situation. After `stop`, it has no effect."""

    def receive(self, now: float) -> bytes | None:
        """Return the newest plan, if it was not received yet. None after `stop`."""

    def dead(self) -> bool:
        """Whether it is stopped, has failed, or has ended and is not ready again. False before it is ready first."""
        ...


def make_worker(
    planner: Engine | Recipe, kind: str, planning: Planning, log: Log, latency: float | Callable[[], float]
) -> tuple[Worker, Contract, ndarray]:
    """Build the worker; returns it, the contract, and the initial weights.

    Args:
      planner: an engine, or a recipe from which the worker builds one.
      kind: inline, thread or process.
      planning: settings of the worker.
      log: of the robot.
      latency: seconds that a plan takes in the time of an inline worker.

    Raises:
      ValueError: an engine object for a worker of kind "process", or another kind of worker.
    """
    if kind not in ("process", "thread", "inline"):
        raise ValueError(f"worker must be process, thread or inline; got {kind!r}")
    if kind == "process":
        if not isinstance(planner, Recipe):
            raise ValueError(
                "a planner process builds its own engine: give the path of a bundle, or a Recipe; or take "
                'worker="thread"'
            )
        contract = planner.contract
        weights = [contract.weights[name] for name in contract.terms]
        return ProcessWorker(planner, planning, log), contract, np.asarray(weights, np.float32)
    engine = make_engine(planner.spec) if isinstance(planner, Recipe) else planner
    contract = engine.contract
    weights = [engine.weights[name] for name in contract.terms]
    if kind == "inline":
        return InlineWorker(engine, planning, log, latency), contract, np.asarray(weights, np.float32)
    return ThreadWorker(engine, planning, log), contract, np.asarray(weights, np.float32)
