"""Overhead of a control step over the compiled plan, and speedup of planning for many environments in one call.

The two sides of a comparison are measured alternately, so that a busy moment of the machine affects both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from planning import Agent, reset_many, step_many
from planning.control import Controller
from worldmodel.models.goal_model import ModelConfig
from worldmodel.observation import vector

from ... import build
from ...records.manifest import manifest
from ...records.results import Value, append_values
from ..budgets import population
from . import points
from .points import OBSERVATION, Point

WARM = 3


def run(cfg: DictConfig) -> list[Value]:
    """Measure and print the values, and add them to `planning.csv`.

    Raises:
      RuntimeError: an environment's action depends on the others in its batch.
    """
    planner = build.planner(build.compose("plan", f"planner={cfg.suite.planner}"))
    size = ModelConfig(observation=vector(1), action_size=1)
    sizes = {"latent_dim": size.latent_size, "width": size.width, "batch": 1}
    count = population(planner)
    horizon = planner.horizon // size.action_block
    point = Point(str(cfg.suite.planner), getattr(planner, count), horizon, planner.iterations, **sizes)
    agent = points.agent(point, planner, int(cfg.seed))
    values = [
        *overhead(agent, int(cfg.suite.repeats)),
        *speedup(agent, int(cfg.suite.environments), int(cfg.suite.repeats)),
    ]
    append_values(Path(cfg.results) / "planning.csv", values, manifest(cfg, [int(cfg.seed)]))
    for each in values:
        Console().print(f"{each.case:28s} {each.value:8.3f} {each.unit}")
    return values


def overhead(agent: Agent, repeats: int) -> list[Value]:
    """Milliseconds of `Controller.act` and of the compiled step alone, and the median of their difference."""
    controller = Controller(agent)
    controller.warmup()
    rng = np.random.default_rng(0)
    controller.reset(goal=np.zeros(OBSERVATION, np.float32), seed=0)
    key = jax.random.key(0)
    state = jax.jit(lambda agent: agent.reset(agent.init(key), jnp.zeros(OBSERVATION), key, 0))(agent)
    structure = jax.tree.structure((agent, state, jnp.zeros(OBSERVATION)))
    flat = jax.jit(lambda leaves: Agent.step(*jax.tree.unflatten(structure, leaves)))
    compiled = flat.lower(jax.tree.leaves((agent, state, jnp.zeros(OBSERVATION)))).compile()
    act, step = np.empty(repeats), np.empty(repeats)
    for repeat in range(-WARM, repeats):
        observation = rng.normal(size=OBSERVATION).astype(np.float32)
        leaves = jax.block_until_ready(jax.tree.leaves((agent, state, jnp.asarray(observation))))
        step[repeat], (_, _, state) = _timed(compiled, leaves)
        act[repeat], _ = _timed(controller.act, observation)
    return [
        Value("control_step_ms", float(np.median(act)), "ms"),
        Value("compiled_step_ms", float(np.median(step)), "ms"),
        Value("host_overhead_ms", float(np.median(act - step)), "ms"),
    ]


def speedup(agent: Agent, environments: int, repeats: int) -> list[Value]:
    """Speedup of one call for all environments over one call each."""
    key = jax.random.key(0)
    observations = jax.random.normal(key, (environments, OBSERVATION))
    states = jax.jit(reset_many)(agent, observations, key, jnp.arange(environments))
    alone = [jax.tree.map(lambda leaf, index=index: leaf[index], states) for index in range(environments)]
    active = jnp.ones(environments, bool)
    one, many = jax.jit(Agent.step), jax.jit(step_many)

    def one_by_one() -> list[jax.Array]:
        pairs = zip(alone, observations, strict=True)
        return [jax.block_until_ready(one(agent, state, observation))[0] for state, observation in pairs]

    repeats = max(repeats // 4, 3)
    together, each = np.empty(repeats), np.empty(repeats)
    for repeat in range(-1, repeats):
        together[repeat], (actions, _, _) = _timed(many, agent, states, observations, active)
        each[repeat], singles = _timed(one_by_one)
        if not np.array_equal(actions, np.stack(singles)):
            raise RuntimeError(
                "an environment's action depends on the others in its batch: planning for a batch is broken"
            )
    return [
        Value(f"batch_{environments}_ms_each", float(np.median(together)) / environments, "ms"),
        Value(f"batch_{environments}_speedup", float(np.median(each / together)), "times"),
    ]


def _timed(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Milliseconds until the result is ready, and the result."""
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return 1e3 * (time.perf_counter() - began), result
