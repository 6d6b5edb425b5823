"""The faster precision for planning on this machine: bfloat16 where the hardware has it, float32 elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from .agent import Agent
from .objective import PRECISIONS

logger = logging.getLogger(__name__)

CLEARLY = 0.95  # share of float32's time below which bfloat16 is worth its rounding


def fastest_precision(
    agent: Agent,
    run: Callable[[Agent], Any] | None = None,
    repeats: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> Agent:
    """Return `agent` with `precision="auto"` replaced by the faster one here; any other agent unchanged.

    Both precisions alternate, so that a busy moment affects both, and their least times are compared.

    Args:
      agent: the agent.
      run: makes one plan with an agent and waits for it; None: one step on an observation of zeros.
      repeats: plans in each precision.
      clock: in seconds.
    """
    if agent.precision != "auto":
        return agent
    run = run or _one_step
    agents = {precision: replace(agent, precision=precision) for precision in PRECISIONS}
    for each in agents.values():
        run(each)  # compiles
    times: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(repeats):
        for precision, each in agents.items():
            began = clock()
            run(each)
            times[precision].append(clock() - began)
    full, half = (min(times[precision]) for precision in PRECISIONS)
    chosen = PRECISIONS[1] if half < CLEARLY * full else PRECISIONS[0]
    logger.info("precision auto: float32 %.2f ms, bfloat16 %.2f ms; using %s", 1e3 * full, 1e3 * half, chosen)
    return agents[chosen]


@jax.jit
def _first_step(agent: Agent, key: Any) -> Any:
    observation = jnp.zeros(agent.model.embedding_size, jnp.float32)
    return agent.step(agent.reset(agent.init(key), observation, key, 0), observation)


def _one_step(agent: Agent) -> None:
    jax.block_until_ready(_first_step(agent, jax.random.key(0)))
