"""Latency of an action while standard error is a full pipe, alternating with a drained one.

A log call blocks as long as its handler does. The loop runs in real time with faults that come and go, so that it logs
two lines at nearly every step, with a planner process and telemetry.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from planning.control import Fallback, Loop, Planning, RealtimeController, Recipe, real_time

from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values
from .tiny_engine import PERIOD

SMALL = 4096  # bytes of the pipe: full after a few dozen lines


def run(cfg: DictConfig) -> dict[str, list[float]]:
    """Milliseconds of every `get_action`, blocked and drained; writes rows `loop_*_stderr_*` if `cfg.results` is set.

    Raises:
      ConnectionError: the planner failed.
      SystemExit: with code 1, if the two differ by more than promised.
    """
    suite = cfg.suite
    times_ms = _run_loop(float(suite.seconds), float(suite.turn), Path(suite.log), list(suite.priorities), suite.cores)
    values: list[Value] = []
    for turn, times in times_ms.items():
        for name, value in {
            "p50": np.percentile(times, 50),
            "p99": np.percentile(times, 99),
            "p999": np.percentile(times, 99.9),
            "worst": np.max(times),
        }.items():
            values.append(Value(f"loop_{turn}_stderr_{name}_ms", float(value), "ms"))
        values.append(Value(f"loop_{turn}_stderr_ticks", float(len(times)), "count"))
    found = {each.case: each.value for each in values}
    apart = abs(found["loop_blocked_stderr_p999_ms"] - found["loop_drained_stderr_p999_ms"])
    values.append(Value("loop_stderr_p999_apart_ms", apart, "ms"))
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.seed)]))
    for each in values:
        logging.getLogger(__name__).info("%s %.4g %s", each.case, each.value, each.unit)
    require(suite, values)
    return times_ms


def _run_loop(
    seconds: float, turn: float, log: Path, priorities: list[int], cores: list[list[int]]
) -> dict[str, list[float]]:
    """Run the loop at the control rate; return milliseconds of each action by the state of standard error."""
    planning = Planning(priority=int(priorities[1]), cores=tuple(cores[1]))
    fallback = Fallback(hold_seconds=0.05)
    recipe = Recipe.factory("experiments.bench.robot.tiny_engine:make")
    loop = Loop(max_observation_age=0.5 * PERIOD, observation_low=(-10.0, -10.0), observation_high=(10.0, 10.0))
    times_ms: dict[str, list[float]] = {"blocked": [], "drained": []}
    with RealtimeController(recipe, loop, planning, fallback, worker="process", telemetry=log) as controller:
        controller.reset(goal=[0.5, 0.0])
        while not controller.ready:
            if controller.failed:
                raise ConnectionError(str(controller.failure))
            time.sleep(0.05)
        all_cores = os.sched_getaffinity(0)
        real_time(int(priorities[0]), cores[0])
        try:
            with _piped_stderr() as drain:
                for number in range(max(2, round(seconds / turn))):
                    name = ("drained", "blocked")[number % 2]
                    (drain.set if name == "drained" else drain.clear)()
                    _turn(controller, turn, times_ms[name])
                drain.set()
        finally:
            real_time(0, all_cores)
    return times_ms


def _turn(controller: RealtimeController, seconds: float, times_ms: list[float]) -> None:
    state, moment = np.zeros(2), time.monotonic()
    for number in range(round(seconds / PERIOD)):
        moment = max(moment + PERIOD, time.monotonic() - PERIOD)
        time.sleep(max(0.0, moment - time.monotonic()))
        observation = state if number % 4 < 2 else [np.nan, 0.0]  # a fault begins or ends at every other step
        controller.notify_observation(observation)
        began = time.perf_counter()
        action = controller.get_action()
        times_ms.append(1e3 * (time.perf_counter() - began))
        state = state + PERIOD * np.asarray([state[1], float(action[0]) - state[1]])


@contextmanager
def _piped_stderr() -> Iterator[threading.Event]:
    """Redirect standard error and the loop's log lines to a small pipe, which is read while the event is set."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL)
    kept = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    drain = threading.Event()
    reader = threading.Thread(target=_read, args=(reading, drain), daemon=True)
    reader.start()
    handler, control = logging.StreamHandler(), logging.getLogger("planning")
    handler.setStream(open(2, "w", closefd=False))  # noqa: SIM115
    control.addHandler(handler)
    control.propagate = False  # otherwise the command's own log would receive the lines too
    try:
        yield drain
    finally:
        drain.set()
        control.propagate = True
        control.removeHandler(handler)
        os.dup2(kept, 2)
        os.close(kept)
        reader.join(5.0)


def _read(pipe: int, drain: threading.Event) -> None:
    while drain.wait() and os.read(pipe, 2**16):
        pass
    os.close(pipe)
