"""A million control steps with everything going wrong at random, and a planner that is killed a hundred times.

Two loops run at once on the product's own code. One has a virtual clock: the consumer, its guards, its fallbacks and a
tiny planner are real, sensors, clock, model and planning time are broken on purpose, and what must follow is worked out
here, apart from the controller's own judgement. The other runs in real time with a planner process that gets SIGKILL.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from omegaconf import DictConfig

from planning.control import Fallback, Loop, Planning, RealtimeController, Reason, Recipe, Source

from .manifest import manifest
from .progress import progress_bar
from .promises import log_level, require
from .results import append_values
from .tiny_engine import PERIOD, Breakable, make

Value = tuple[str, float, str]

RATE = 20.0  # units a second: a fifth of the half range a step
STUCK = 6
REPLAN = 16  # steps
KINDS = ("nan", "out_of_range", "malformed", "stuck", "dropped", "delayed", "model_nan", "latency", "back", "forward")
OBSERVED = {
    "nan": Reason.NONFINITE_OBSERVATION,
    "out_of_range": Reason.OUT_OF_RANGE_OBSERVATION,
    "malformed": Reason.MALFORMED_OBSERVATION,
    "delayed": Reason.STALE_OBSERVATION,
    "dropped": Reason.STALE_OBSERVATION,
}


def reflex(observation: ndarray) -> ndarray:
    """A spring and a damper; and wrong in two ways now and then, as a policy may be."""
    if observation[0] > 0.9:
        raise RuntimeError("this reflex does not know what to do")
    return np.asarray([np.nan if observation[0] < -0.9 else -observation[0] - observation[1]])


@dataclass
class Fault:
    """What is wrong for some steps."""

    kind: str = ""
    left: int = 0
    begun: int = 0


class VirtualLoop:
    """The loop on a virtual clock, and its judge."""

    def __init__(self, seed: int, share: float = 0.02):
        self._rng, self._share = np.random.default_rng(seed), share
        self._now, self._latency = 0.0, 0.5 * PERIOD
        engine = make()
        self._engine = Breakable(replace(engine.agent, replan_every=REPLAN))
        self.controller = RealtimeController(
            self._engine,
            Loop(
                rate_limit=RATE,
                max_observation_age=0.5 * PERIOD,
                observation_low=(-10.0, -10.0),
                observation_high=(10.0, 10.0),
                stuck_after=STUCK,
                latency=lambda: self._latency,
            ),
            Planning(validity=2 * REPLAN * PERIOD),
            Fallback(reflex=reflex, hold_seconds=0.05),
            worker="inline",
            seed=seed,
            clock=lambda: self._now,
        )
        self.controller.start()
        self.controller.reset(goal=[0.5, 0.0])
        self._state, self._last = np.zeros(2), np.zeros(1, np.float32)
        self._fault, self._calm = Fault(), 0
        self._stuck = self._state
        self.counts: Counter[str] = Counter()

    def step(self, number: int) -> None:
        """One control period."""
        self._now += PERIOD
        self._draw(number)
        kind, controller = self._fault.kind, self.controller
        self._engine.broken, self._latency = kind == "model_nan", PERIOD * (5.0 if kind == "latency" else 0.5)
        if number % 5000 == 0:
            self._calm = 0
            controller.reset(goal=[self._rng.uniform(-0.5, 0.5), 0.0])
        try:
            self._sense(kind)
            action = controller.get_action()
        except Exception:
            logging.getLogger(__name__).exception("a control step raised")
            self.counts["crashes"] += 1
            return
        self._judge(action, number)
        self._state = self._state + PERIOD * np.asarray([self._state[1], float(action[0]) - self._state[1]])
        self._state += self._rng.normal(scale=1e-4, size=2)

    def _draw(self, number: int) -> None:
        """Perhaps another fault, once the one before is over."""
        fault = self._fault
        if fault.left > 0:
            fault.left -= 1
            return
        self._fault = Fault()
        if self._rng.uniform() >= self._share:
            self._calm += 1
            return
        self._calm = 0
        kind = KINDS[self._rng.integers(len(KINDS))]
        lasting = 0 if kind in ("back", "forward") else int(self._rng.integers(1, 25))
        self._fault = Fault(kind, lasting + (STUCK if kind == "stuck" else 0), number)
        self.counts[f"fault_{kind}"] += 1
        if kind in ("back", "forward"):
            self._now += float(self._rng.uniform(0.5, 10.0)) * (-1 if kind == "back" else 1)

    def _sense(self, kind: str) -> None:
        """What the sensors make of it."""
        observation: Any = self._state.copy()
        if kind == "nan":
            observation[self._rng.integers(2)] = self._rng.choice([np.nan, np.inf, -np.inf])
        elif kind == "out_of_range":
            observation[self._rng.integers(2)] = self._rng.choice([-1e6, 1e6, 11.0])
        elif kind == "malformed":
            observation = [None, "left", np.zeros(3), {"position": 1.0}, np.zeros((2, 2))][self._rng.integers(5)]
        elif kind == "stuck":
            observation = self._stuck
        if kind == "delayed":
            self.controller.notify_observation(observation, self._now - 3 * PERIOD)
        elif kind != "dropped":
            self._stuck = observation if not kind else self._stuck
            self.controller.notify_observation(observation)

    def _judge(self, action: ndarray, number: int) -> None:
        command, counts, fault = self.controller.command, self.counts, self._fault
        assert command is not None
        counts[f"source_{command.source.name.lower()}"] += 1
        finite = bool(np.isfinite(action).all())
        counts["nonfinite"] += not finite
        counts["out_of_bounds"] += not (finite and (np.abs(action) <= 1.0).all())
        counts["out_of_rate"] += not (finite and (np.abs(action - self._last) <= RATE * PERIOD * (1 + 1e-5)).all())
        self._last = action
        wrong, source = set(command.wrong), command.source
        expected: list[tuple[Reason, Source]] = []
        if fault.kind in OBSERVED:
            expected.append((OBSERVED[fault.kind], Source.PREVIOUS_PLAN))
        if fault.kind == "stuck" and number - fault.begun >= STUCK - 1:  # through resets, too
            expected.append((Reason.STUCK_OBSERVATION, Source.HOLD))
        if fault.kind == "model_nan" and number - fault.begun > REPLAN + 7:  # the last sound plan may be late
            expected.append((Reason.NONFINITE_PLAN, Source.PREVIOUS_PLAN))
        if fault.kind == "back":
            expected.append((Reason.CLOCK_BACKWARDS, Source.HOLD))
        if fault.kind == "forward":
            expected.append((Reason.NO_PLAN, Source.REFLEX))
        plan = command.plan
        if plan is not None and plan.valid(command.time) and command.time - plan.stamp > (REPLAN + 3.01) * PERIOD:
            expected.append((Reason.LATE, Source.PREVIOUS_PLAN))
        for reason, least in expected:
            counts["faulty_steps"] += 1
            seen = reason in wrong or (reason == Reason.STALE_OBSERVATION and Reason.MISSING_OBSERVATION in wrong)
            if not seen or source < least:
                counts["unanswered"] += 1
                counts[f"unanswered_{fault.kind or 'late'}"] += 1
        if self._calm > 4 * REPLAN and source != Source.PLAN:
            counts["needless"] += 1


def kill_planners(kills: int, seed: int, log: Path, counts: Counter[str], stop: threading.Event) -> None:
    """Drive at the control rate in real time, and kill the planner process at random moments."""
    rng = np.random.default_rng([seed, 1])
    recipe = Recipe.factory("experiments.tiny_engine:make")
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
                counts["unanswered"] += 1
                counts["unanswered_kill"] += 1
            counts["real_steps"] += 1
            counts["nonfinite"] += not np.isfinite(action).all()
            counts["out_of_bounds"] += not (np.abs(action) <= 1.0).all()
            counts["out_of_rate"] += not (np.abs(action - last) <= RATE * PERIOD * (1 + 1e-5)).all()
            last = action
            state = state + PERIOD * np.asarray([state[1], float(action[0]) - state[1]])
        counts["crashes"] += controller.failed


def _alive(pid: int) -> bool:
    """Whether anything of the process has not ended yet: it can be waited for once its last thread has."""
    try:
        threads = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return True  # one ended while the list was read
    return len(threads) > 1 or any(state not in "ZX" for state in threads)


def run(cfg: DictConfig) -> Counter[str]:
    """Both loops; their counts, and rows `soak_*` where `cfg.results` is a folder.

    Raises:
      SystemExit: with code 1, where one of the suite's promises is broken.
    """
    with log_level("planning", logging.CRITICAL):  # faults are what this is about
        values, counts = _measure(cfg)
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.seed)]))
    for name, value, unit in values:
        logging.getLogger(__name__).info("%s %.6g %s", name, value, unit)
    logging.getLogger(__name__).info("%s", dict(sorted(counts.items())))
    require(cfg.suite, values)
    return counts


def _measure(cfg: DictConfig) -> tuple[list[Value], Counter[str]]:
    seed, steps, kills = int(cfg.seed), int(cfg.suite.steps), int(cfg.suite.kills)
    counts: Counter[str] = Counter()
    real, stop = Counter[str](), threading.Event()
    log = Path(cfg.suite.log)
    killer = threading.Thread(target=_guarded, args=(kills, seed, log, real, stop))
    killer.start()
    memory: list[float] = []
    began = time.monotonic()
    try:
        loop = VirtualLoop(seed)
        with progress_bar("soak", steps) as bar:
            for number in range(1, steps + 1):
                loop.step(number)
                if number % max(1, steps // 200) == 0:
                    memory.append(resident_mib())
                    bar(number, steps)
        while killer.is_alive():
            killer.join(1.0)
    finally:
        stop.set()
        killer.join()
    counts.update(loop.counts)
    counts.update(real)
    growth = float(np.mean(memory[-len(memory) // 10 :]) - np.mean(memory[len(memory) // 5 : 3 * len(memory) // 10]))
    unsafe = sum(counts[name] for name in ("out_of_bounds", "out_of_rate", "nonfinite", "crashes", "unanswered"))
    values: list[Value] = [
        ("soak_unsafe", float(unsafe), "count"),
        ("soak_steps", float(steps), "steps"),
    ]
    for name in ("out_of_bounds", "out_of_rate", "nonfinite", "crashes", "unanswered", "needless", "faulty_steps"):
        values.append((f"soak_{name}", float(counts[name]), "count"))
    values += [
        ("soak_kills", float(counts["kills"]), "count"),
        ("soak_memory_growth_mib", growth, "MiB"),
        ("soak_seconds", time.monotonic() - began, "s"),
    ]
    return values, counts


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _guarded(kills: int, seed: int, log: Path, counts: Counter[str], stop: threading.Event) -> None:
    try:
        kill_planners(kills, seed, log, counts, stop)
    except Exception:
        logging.getLogger(__name__).exception("the loop in real time raised")
        counts["crashes"] += 1
