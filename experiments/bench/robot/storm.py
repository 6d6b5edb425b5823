"""`jepa-mpc bench suite=storm`: a real planner process, started, stopped and sent signals at random moments.

A thread runs the loop all the time, also before a start, during a stop, and between the two. It must never see an
exception and always get actions that can be sent, and each stop must release all resources.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from planning.control import Fallback, Loop, Planning, RealtimeController, Recipe, Source

from ...records.manifest import manifest
from ...records.promises import log_level, require
from ...records.results import Value, append_values
from ...shell.progress import progress_bar
from .tiny_engine import PERIOD

logger = logging.getLogger(__name__)

STARTING = 0.5  # seconds in which a starting process still imports and compiles
PATIENCE = 300.0  # seconds until a process is ready on a busy machine
HANG = 2.0  # seconds without an answer after which a process is killed
RELEASE = 5.0  # seconds for the system to reclaim released resources
FAILURES = (
    "exceptions",  # on the loop's thread, or from start and stop
    "unsafe",  # actions that are not finite or out of bounds
    "unbraked",  # stops after which another action than the brake is sent
    "gave_up",  # cycles in which the planner failed, or was never ready
    "left_processes",
    "left_descriptors",
    "left_memory",  # shared memory files
    "left_threads",
)


class Storm:
    """A controller with a disturbed planner process, and the thread that runs its loop.

    Args:
      seed: seed of everything random.
      log: path of the telemetry.
    """

    def __init__(self, seed: int, log: Path):
        self.counts: Counter[str] = Counter()
        self.worst_action = self.worst_stop = 0.0  # seconds
        self._rng = np.random.default_rng(seed)
        self._controller = RealtimeController(
            Recipe.factory("experiments.bench.robot.tiny_engine:make"),
            Loop(max_observation_age=0.5),
            Planning(log=True, hang_after=HANG),
            Fallback(hold_seconds=0.05),
            worker="process",
            telemetry=log,
        )
        self._controller.reset(goal=[0.5, 0.0])
        self._over = threading.Event()
        self._caller = threading.Thread(target=self._run_loop, args=(np.random.default_rng([seed, 1]),), name="caller")

    def __enter__(self) -> Storm:
        self._before = resources()
        self._caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._caller.join()
        self._controller.stop()

    def cycle(self, kind: str) -> None:
        """Start and stop the controller once, with the disturbance `kind` in between."""
        threads = 2 if kind == "threads" else 1
        self.counts[f"cycles_{kind}"] += 1
        self._call_concurrently(self._controller.start, threads)
        if kind == "ready":
            self._until_ready()
            self._disturb(str(self._rng.choice(["kill", "pause", "resume"])))
            self._until_ready()
        else:
            self._wait(STARTING)
            self._disturb(kind)
            self._wait(STARTING / 2)
        self.counts["gave_up"] += self._controller.failed
        began = time.monotonic()
        self._call_concurrently(self._controller.stop, threads)
        self.worst_stop = max(self.worst_stop, time.monotonic() - began)
        self._check_stopped()

    def _check_stopped(self) -> None:
        """Check the action after a stop, and count unreleased resources."""
        self._call_concurrently(self._act, 1)
        command = self._controller.command
        self.counts["unbraked"] += command is None or command.source != Source.BRAKE
        found, end = resources(), time.monotonic() + RELEASE
        while found - self._before and time.monotonic() < end:
            time.sleep(0.01)
            found = resources()
        self.counts.update(found - self._before)

    def _act(self) -> None:
        self._controller.get_action()

    def _call_concurrently(self, function: Callable[[], None], threads: int) -> None:
        """Call a function concurrently from `threads` threads."""

        def call() -> None:
            try:
                function()
            except Exception:
                logger.exception("%s raised", function.__name__)
                self.counts["exceptions"] += 1

        others = [threading.Thread(target=call) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        call()
        for thread in others:
            thread.join()

    def _until_ready(self) -> None:
        """Wait until plans are executed."""
        end = time.monotonic() + PATIENCE
        while not self._planned():
            if self._controller.failed or time.monotonic() > end:
                logger.error("the planner is not ready: %s", self._controller.failure)
                self.counts["gave_up"] += 1
                return
            time.sleep(0.01)
        self.counts["planned"] += 1

    def _planned(self) -> bool:
        command = self._controller.command
        return self._controller.ready and command is not None and command.source == Source.PLAN

    def _disturb(self, kind: str) -> None:
        if kind == "kill":
            self._signal(signal.SIGKILL)
        elif kind in ("pause", "resume"):
            self._signal(signal.SIGSTOP)
            if kind == "resume":
                self._wait(STARTING / 2)
                self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = self._controller.worker.pid  # type: ignore[attr-defined]
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                self.counts[number.name.lower()] += 1

    def _wait(self, longest: float) -> None:
        time.sleep(float(self._rng.uniform(0.0, longest)))

    def _run_loop(self, rng: np.random.Generator) -> None:
        """Run the loop at the control rate until the storm is over."""
        state, moment, controller = np.zeros(2), time.monotonic(), self._controller
        while not self._over.is_set():
            moment = max(moment + PERIOD, time.monotonic() - PERIOD)
            time.sleep(max(0.0, moment - time.monotonic()))
            try:
                if rng.uniform() < 0.01:
                    controller.reset(goal=[rng.uniform(-0.5, 0.5), 0.0])
                controller.notify_observation(state)
                began = time.perf_counter()
                action = controller.get_action()
                self.worst_action = max(self.worst_action, time.perf_counter() - began)
            except Exception:
                logger.exception("the loop raised")
                self.counts["exceptions"] += 1
                continue
            self.counts["steps"] += 1
            safe = action.shape == (1,) and bool(np.isfinite(action).all()) and bool((np.abs(action) <= 1.0).all())
            self.counts["unsafe"] += not safe
            state = 0.99 * (state + PERIOD * np.asarray([state[1], float(action[0]) if safe else 0.0]))
            state += rng.normal(scale=1e-4, size=2)


def resources() -> Counter[str]:
    """Count the resources of this process that a stop must release."""
    with open("/proc/self/maps") as maps:
        memory = maps.read().count("memfd:jepa-mpc")
    return Counter(
        left_processes=_children(),
        left_descriptors=len(os.listdir("/proc/self/fd")),
        left_memory=memory,
        left_threads=sum(
            thread.name in ("planner supervisor", "telemetry", "journal") for thread in threading.enumerate()
        ),
    )


def _children() -> int:
    """Number of child processes, including ended ones that were not waited for."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            count += int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid()
    return count


def resident_mib() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run(cfg: DictConfig) -> Counter[str]:
    """Run the storm and return its counts; writes rows `storm_*` if `cfg.results` is set.

    Raises:
      ValueError: there is fewer than one cycle, or a kind of cycle does not exist.
      SystemExit: with code 1, if a promise is broken.
    """
    seed, cycles = int(cfg.seed), int(cfg.suite.cycles)
    mix = {str(kind): float(share) for kind, share in cfg.suite.mix.items()}
    known = {"stop", "kill", "pause", "resume", "threads", "ready"}
    if cycles < 1 or not set(mix) <= known or not sum(mix.values()) > 0 or min(mix.values()) < 0:
        raise ValueError(
            f"cycles must be 1 or more, and mix give shares of {', '.join(sorted(known))}; got {cycles}, {mix}"
        )
    shares = np.asarray(list(mix.values())) / sum(mix.values())
    kinds = np.random.default_rng([seed, 2]).choice(list(mix), size=cycles, p=shares)
    memory: list[float] = []
    began = time.monotonic()
    with (
        log_level("planning", logging.CRITICAL),
        Storm(seed, Path(cfg.suite.log)) as storm,
        progress_bar("storm", cycles) as bar,
    ):
        for number, kind in enumerate(kinds, 1):
            storm.cycle(str(kind))
            memory.append(resident_mib())
            bar(number, cycles)
    counts = storm.counts
    growth = float(np.mean(memory[-max(1, cycles // 10) :]) - np.mean(memory[cycles // 5 : max(3 * cycles // 10, 1)]))
    values = [
        Value("storm_failures", float(sum(counts[name] for name in FAILURES)), "count"),
        Value("storm_cycles", float(cycles), "count"),
        *(Value(f"storm_{name}", float(counts[name]), "count") for name in FAILURES),
        *(
            Value(f"storm_{name}", float(counts[name]), "count")
            for name in ("sigkill", "sigstop", "sigcont", "planned", "steps")
        ),
        Value("storm_memory_growth_mib", growth, "MiB"),
        Value("storm_worst_action_ms", 1e3 * storm.worst_action, "ms"),
        Value("storm_worst_stop_s", storm.worst_stop, "s"),
        Value("storm_seconds", time.monotonic() - began, "s"),
    ]
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [seed]))
    for each in values:
        logger.info("%s %.6g %s", each.case, each.value, each.unit)
    require(cfg.suite, values)
    return counts
