"""Latency of plans over a grid of planners, samples, horizons, iterations and model sizes.

Weights are random: they cost as much as trained ones. A call is timed after warm-up until its action is on the host;
after each call an idle timer measures how late this machine wakes a sleeping process.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from planning import Agent, reset_many, step_many

from ...records.intervals import percentiles
from ...records.manifest import command, manifest
from ...shell.progress import progress_bar
from ..budgets import rollouts
from ..flops import sgemm_gflops
from ..missing import missing
from . import figure
from . import points as latency_grid
from .points import OBSERVATION, Point, plan_flops
from .rows import AXES, LatencyRow, growth, read, read_manifests, write

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.001
WARM = 3  # calls before the timed ones


@dataclass(frozen=True)
class Timing:
    """Measurements at one point."""

    calls: np.ndarray  # milliseconds
    idle: np.ndarray  # milliseconds that an idle timer was late
    compile_s: float
    memory_mib: float  # temporary memory, without arguments and results


def run(cfg: DictConfig) -> list[LatencyRow]:
    """Measure the points that the table lacks, write each row immediately, then print and draw the whole table."""
    path = Path(cfg.results) / "latency.csv"
    planners = latency_grid.planners(cfg)
    points = list(dict.fromkeys(latency_grid.points(cfg, planners)))
    rows = read(path)
    known = {row.identity() for row in rows}
    todo = missing(points, lambda point: dataclasses.astuple(point) in known, cfg.redo)
    if todo:
        made, earlier, peak = manifest(cfg, [int(cfg.seed)]), read_manifests(path, rows), 0.0
        measured: dict[LatencyRow, dict[str, Any]] = {}
        with progress_bar("latency", len(todo), compiles=True) as bar:
            for done, point in enumerate(todo):
                agent = latency_grid.agent(point, planners[point.planner], int(cfg.seed))
                peak = max(peak, sgemm_gflops())  # a busy moment must not flatter the shares of the whole run
                timing = measure(agent, point.batch, int(cfg.grid.plans))
                row = _row(point, agent, timing)
                measured = {_of_peak(each, peak): more for each, more in measured.items()}
                measured[_of_peak(row, peak)] = _details(row, agent, timing)
                new = {each.identity(): each for each in measured}
                rows = [new.get(each.identity(), each) for each in rows if each.identity() != row.identity()]
                rows.append(new[row.identity()])
                current = {"manifest": {**made, "sgemm_gflops": round(peak, 1)}, "rows": list(measured.values())}
                write(path, rows, [*_without(earlier, list(measured.values())), current])
                bar(done + 1, len(todo))
    identities = {dataclasses.astuple(point) for point in points}
    show([row for row in rows if row.identity() in identities], read_manifests(path, rows))
    figure.draw(rows, path)
    return rows


def measure(agent: Agent, batch: int, plans: int) -> Timing:
    """Compile without a cache, warm up, and time `plans` calls; observations and states differ from call to call."""
    key = jax.random.key(0)
    observations = np.random.default_rng(0).normal(size=(plans + WARM, batch, OBSERVATION)).astype(np.float32)
    goals, numbers, active = jnp.asarray(observations[0]), jnp.arange(batch), np.ones(batch, bool)
    step: Any
    if batch == 1:
        step, begin = Agent.step, lambda agent: agent.reset(agent.init(key), goals[0], key, 0)
    else:
        step, begin = step_many, lambda agent: reset_many(agent, goals, key, numbers)
    state = jax.jit(begin)(agent)

    def arguments(call: int) -> tuple[Any, ...]:
        return agent, state, *((observations[call, 0],) if batch == 1 else (observations[call], active))

    structure = jax.tree.structure(arguments(0))
    flat = jax.jit(lambda leaves: step(*jax.tree.unflatten(structure, leaves)))
    lowered = flat.lower(jax.tree.leaves(arguments(0)))
    with no_compilation_cache():
        began = time.perf_counter()
        compiled = lowered.compile()
        compile_s = time.perf_counter() - began
    calls, idle = np.empty(plans), np.empty(plans)
    for call in range(plans + WARM):
        began = time.perf_counter()
        actions, _, state = compiled(jax.tree.leaves(arguments(call)))
        np.asarray(actions)
        seconds = time.perf_counter() - began
        jax.block_until_ready(state)
        if call >= WARM:
            calls[call - WARM], idle[call - WARM] = 1e3 * seconds, 1e3 * _idle_delay()
    memory = compiled.memory_analysis()
    return Timing(calls, idle, compile_s, getattr(memory, "temp_size_in_bytes", 0) / 2**20)


def show(rows: list[LatencyRow], manifests: list[dict[str, Any]]) -> None:
    """Print times, rates and growth in three tables, since one would be too wide for a terminal.

    `GF/s` are GFLOP/s, `sgemm` their share of a plain matrix product's rate, `build` seconds to compile, and `MiB` the
    temporary memory of a call.
    """
    details = {tuple(each["identity"]): each for entry in manifests for each in entry["rows"]}
    times = _table("ms a call", "planner", "N×H×I", "D/W", "p50", "p95", "p99", "idle p50", "idle p99")
    rates = _table("work", "planner", "N×H×I", "D/W", "steps/s", "rolls/s", "GF/s", "sgemm", "build", "MiB")
    for row in rows:
        more = details[row.identity()]
        name = (row.planner, f"{row.num_samples}×{row.horizon}×{row.iterations}", f"{row.latent_dim}/{row.width}")
        if row.batch > 1:
            name = (*name[:2], f"{name[2]} ·{row.batch}")
        idle = more["idle_ms"]
        times.add_row(*name, *(f"{each:.3g}" for each in (row.p50_ms, row.p95_ms, row.p99_ms, idle[0], idle[2])))
        speeds = (_short(more["latent_steps_per_s"]), _short(more["rollouts_per_s"]), f"{row.gflops:.3g}")
        rates.add_row(*name, *speeds, f"{row.sgemm_share:.0%}", f"{row.compile_s:.1f}", f"{more['memory_mib']:.1f}")
    slopes = _table("growth: b in p50 ∝ axis^b", "planner", *AXES)
    for planner in dict.fromkeys(row.planner for row in rows):
        found = [growth(rows, planner, axis) for axis in AXES]
        slopes.add_row(planner, *("" if each is None else f"{each:.2f}" for each in found))
    console = Console()
    for table in (times, rates, slopes):
        console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, justify="left" if column == "planner" else "right", no_wrap=True)
    return table


def _short(rate: float) -> str:
    return f"{rate / 1e6:.3g}M" if rate >= 1e6 else f"{rate / 1e3:.3g}k"


def _of_peak(row: LatencyRow, peak: float) -> LatencyRow:
    return dataclasses.replace(row, sgemm_share=row.gflops / peak)


def _row(point: Point, agent: Agent, timing: Timing) -> LatencyRow:
    p50, p95, p99 = percentiles(timing.calls)
    gflops = point.batch * plan_flops(agent.planner, agent.model) / p50 / 1e6  # type: ignore[arg-type]
    return LatencyRow(
        **dataclasses.asdict(point),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        gflops=gflops,
        sgemm_share=0.0,  # set once the peak rate is known
        compile_s=timing.compile_s,
        command=command(),
    )


def _details(row: LatencyRow, agent: Agent, timing: Timing) -> dict[str, Any]:
    """Entry of a row in the manifest, for values without a column in the table."""
    seconds = row.p50_ms / 1e3
    plans = row.batch * rollouts(agent.planner)
    return {
        "identity": list(row.identity()),
        "idle_ms": [round(each, 4) for each in percentiles(timing.idle)],
        "rollouts_per_s": round(plans / seconds),
        "latent_steps_per_s": round(plans * row.horizon / seconds),
        "memory_mib": round(timing.memory_mib, 2),
    }


def _without(entries: list[dict[str, Any]], measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Earlier entries without the rows that were measured again."""
    new = {tuple(each["identity"]) for each in measured}
    left = [{**entry, "rows": [e for e in entry["rows"] if tuple(e["identity"]) not in new]} for entry in entries]
    return [entry for entry in left if entry["rows"]]


@contextmanager
def no_compilation_cache() -> Iterator[None]:
    """Disable the compilation cache on disk: with it, a second run would time the reading of a file."""
    enabled = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX reads the setting once per process
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


def _idle_delay() -> float:
    """Seconds by which an idle timer was late."""
    began = time.perf_counter()
    time.sleep(IDLE_SECONDS)
    return time.perf_counter() - began - IDLE_SECONDS
