"""A million control steps with random faults, and a planner process that is killed a hundred times.

Two kinds of loop run concurrently on the product's own code. One has a virtual clock: the consumer, its guards, its
fallbacks and a tiny planner are real; sensors, clock, model, planner and operator are broken on purpose, and a judge
derives the required commands independently of the controller. The other runs in real time with a planner process that
receives SIGKILL.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from ....records.manifest import manifest
from ....records.promises import log_level, require
from ....records.results import Value, append_values
from ....shell.progress import progress_bar
from .kills import kill_planners
from .loop import DECLARED, VirtualLoop

EXERCISED = ("limited_bounds", "limited_rate", "source_hold", "source_brake", "source_reflex", "source_previous_plan")


def run(cfg: DictConfig) -> Counter[str]:
    """Run both loops and return their counts; writes rows `soak_*` if `cfg.results` is set.

    Raises:
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    with log_level("planning", logging.CRITICAL):  # the faults are intended
        values, counts = _measure(cfg)
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.seed)]))
    for each in values:
        logging.getLogger(__name__).info("%s %.6g %s", each.case, each.value, each.unit)
    logging.getLogger(__name__).info("%s", dict(sorted(counts.items())))
    require(cfg.suite, values)
    return counts


def _measure(cfg: DictConfig) -> tuple[list[Value], Counter[str]]:
    seed, steps, kills = int(cfg.seed), int(cfg.suite.steps), int(cfg.suite.kills)
    real, stop = Counter[str](), threading.Event()
    killer = threading.Thread(target=_guarded, args=(kills, seed, Path(cfg.suite.log), real, stop))
    if kills:
        killer.start()
    memory: list[float] = []
    began = time.monotonic()
    try:
        loops = [VirtualLoop(seed + number, name) for number, name in enumerate(DECLARED)]
        with progress_bar("soak", steps) as bar:
            for number in range(1, steps + 1):
                loops[number % len(loops)].step(number // len(loops) + 1)
                if number % max(1, steps // 200) == 0:
                    memory.append(resident_mib())
                    bar(number, steps)
        while killer.is_alive():
            killer.join(1.0)
    finally:
        stop.set()
        if kills:
            killer.join()
    counts = sum((loop.totals for loop in loops), real)
    for loop in loops:
        loop.controller.stop()
    return _values(counts, steps, _growth(memory), time.monotonic() - began), counts


def _values(counts: Counter[str], steps: int, growth: float, seconds: float) -> list[Value]:
    totals = {
        kind: sum(count for name, count in counts.items() if name.startswith(kind)) for kind in ("unsafe", "unanswered")
    }
    values = [Value(f"soak_{kind}", float(total), "count") for kind, total in totals.items()]
    values += [Value("soak_steps", float(steps), "steps")]
    parts = sorted(name for name in counts if name.startswith(("unsafe_", "unanswered_")) and counts[name])
    values += [Value(f"soak_{name}", float(counts[name]), "count") for name in parts]
    # An untested promise does not count as kept: each of these must have happened.
    values += [Value("soak_unexercised", float(sum(not counts[name] for name in EXERCISED)), "count")]
    for name in ("needless", "faulty_steps", "kills", "limited_bounds", "limited_rate"):
        values.append(Value(f"soak_{name}", float(counts[name]), "count"))
    return [*values, Value("soak_memory_growth_mib", growth, "MiB"), Value("soak_seconds", seconds, "s")]


def _growth(memory: list[float]) -> float:
    """Growth of memory in MiB from the third tenth of the run to the last."""
    tenth = max(1, len(memory) // 10)
    return float(np.mean(memory[-tenth:]) - np.mean(memory[2 * tenth : 3 * tenth] or memory[:1]))


def resident_mib() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _guarded(kills: int, seed: int, log: Path, counts: Counter[str], stop: threading.Event) -> None:
    try:
        kill_planners(kills, seed, log, counts, stop)
    except Exception:
        logging.getLogger(__name__).exception("the loop in real time raised")
        counts["unsafe_crashes"] += 1
