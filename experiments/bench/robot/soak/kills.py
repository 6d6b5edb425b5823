"""The soak test's loop in real time, with its planner process killed at random moments."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

from planning.control import Fallback, Loop, Planning, RealtimeController, Reason, Recipe, Source

from ..tiny_engine import PERIOD
from .loop import reflex

RATE = 20.0  # units/s


def kill_planners(kills: int, seed: int, log: Path, counts: Counter[str], stop: threading.Event) -> None:
    """Run the loop in real time at the control rate, and kill the planner process at random moments."""
    rng = np.random.default_rng([seed, 1])
    recipe = Recipe.factory("experiments.bench.robot.tiny_engine:make")
    loop, fallback = Loop(rate_limit=RATE, max_observation_age=0.5), Fallback(reflex=reflex, hold_seconds=0.05)
    with RealtimeController(recipe, loop, Planning(log=True), fallback, worker="process", telemetry=log) as controller:
        controller.reset(goal=[0.5, 0.0], seed=seed)
        state, last, moment, due = np.zeros(2), np.zeros(1, np.float32), time.monotonic(), 0.0
        while counts["kills"] < kills and not stop.is_set() and not controller.failed:
            moment = max(moment + PERIOD, time.monotonic() - PERIOD)
            time.sleep(max(0.0, moment - time.monotonic()))
            killed = False
            if controller.ready and due == 0.0:
                due = moment + float(rng.uniform(0.1, 0.6))
            elif controller.ready and moment > due:
                pid = controller.worker.pid  # type: ignore[attr-defined]
                os.kill(pid, signal.SIGKILL)
                while _alive(pid):
                    time.sleep(0.0002)
                killed, due = True, 0.0
                counts["kills"] += 1
            controller.notify_observation(state)
            action = controller.get_action()
            command = controller.command
            assert command is not None
            if killed and (Reason.PLANNER_DEAD not in command.wrong or command.source < Source.PREVIOUS_PLAN):
                counts["unanswered_kill"] += 1
            counts["real_steps"] += 1
            counts["unsafe_nonfinite"] += not np.isfinite(action).all()
            counts["unsafe_bounds"] += not (np.abs(action) <= 1.0).all()
            counts["unsafe_rate"] += not (np.abs(action - last) <= RATE * PERIOD * (1 + 1e-5)).all()
            last = action
            state = state + PERIOD * np.asarray([state[1], float(action[0]) - state[1]])
        counts["unsafe_crashes"] += controller.failed


def _alive(pid: int) -> bool:
    """Whether a thread of the process is still alive; the process can be waited for once all have ended."""
    try:
        threads = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return True  # a thread ended while the list was read
    return len(threads) > 1 or any(state not in "ZX" for state in threads)
