"""The grid of `jepa-mpc bench suite=latency`: its points, their agents, and the work of a plan in FLOP."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from omegaconf import DictConfig

from planning import ActionSpec, Agent, AskTell, Cost, Planner, TemporalDistance
from worldmodel.models.freeze import FrozenModel, freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.heads import EMBEDDING
from worldmodel.observation import vector

from ... import build
from ...shell.plugins import plugins
from ..budgets import on_one_level, population, rollouts, sized
from .rows import IDENTITY

logger = logging.getLogger(__name__)

OBSERVATION, ACTION = 8, 2  # sizes of the environment


@dataclass(frozen=True)
class Point:
    """A point of the grid. The fields are those of a row's identity."""

    planner: str
    num_samples: int
    horizon: int
    iterations: int
    latent_dim: int
    width: int
    batch: int


def planners(cfg: DictConfig) -> dict[str, Planner[Any]]:
    """The planners of the suite by name, with their own settings.

    Raises:
      ValueError: a name is neither in configs/planner nor that of a package.
    """
    own = on_one_level()
    known = [*own, *plugins("planner").names()]
    names = own if cfg.suite.planners is None else [str(name) for name in cfg.suite.planners]
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"suite.planners has no planner called {unknown[0]!r}: choose from {', '.join(known)}")
    return {name: build.planner(build.compose("plan", f"planner={name}")) for name in names}


def points(cfg: DictConfig, chosen: dict[str, Planner[Any]]) -> Iterator[Point]:
    """The points of the grid that are valid for each planner; invalid ones are logged and left out.

    Raises:
      ValueError: a point lacks an axis or has an unknown one.
    """
    base = {str(name): int(value) for name, value in cfg.grid.base.items()}
    axes = set(IDENTITY) - {"planner"}
    settings = [base]
    for axis, values in cfg.grid.sweeps.items():
        settings += [{**base, str(axis): int(value)} for value in values]
    settings += [{**base, **point} for point in cfg.grid.points]
    for setting in settings:
        if unknown := sorted(set(setting) ^ axes):
            raise ValueError(f"a point of the grid has the axes {', '.join(sorted(axes))}; got {unknown[0]}")
    for name, planner in chosen.items():
        if cfg.grid.own_settings:
            own = {"iterations": planner.iterations, "num_samples": getattr(planner, population(planner))}
            yield Point(planner=name, **{**base, **own})
        for setting in settings:
            point = Point(planner=name, **setting)
            try:
                fitted(point, planner).validate(_spec())
            except ValueError as error:
                logger.warning("%s is left out: %s", point, error)
                continue
            yield point


def agent(point: Point, planner: Planner[Any], seed: int) -> Agent:
    """An agent of this size with random weights."""
    config = ModelConfig(
        observation=vector(OBSERVATION),
        action_size=ACTION,
        latent_size=point.latent_dim,
        width=point.width,
        head_width=point.width // 2,
    )
    model = freeze(create(config, seed), config)
    costs: dict[str, Cost] = {"distance": TemporalDistance()}
    result = Agent(model, fitted(point, planner), costs, {"distance": 1.0}, _spec())
    result.validate()
    as_array = lambda leaf: jnp.asarray(leaf, jnp.float32) if isinstance(leaf, int | float) else leaf  # noqa: E731
    return jax.tree.map(as_array, result)


def plan_flops(planner: Planner[Any], model: FrozenModel) -> int:
    """Analytic FLOP of one plan's matrix products: encoder once, predictor and critic per candidate and step.

    For a gradient planner the backward pass through both counts as much as the forward pass.
    """
    config = model.config
    size, width, depth = config.latent_size, config.width, config.depth

    def mlp(inputs: int, outputs: int, width: int) -> int:
        return 2 * (inputs * width + (depth - 1) * width * width + width * outputs)

    encoder = mlp(config.history * config.embedding_size, size, width)
    predictor = mlp(size + config.action_block * config.action_size, size, width)
    critic = mlp(size, EMBEDDING, config.head_width)
    directions = 1 if isinstance(planner, AskTell) else 2
    steps = rollouts(planner) * (planner.horizon // config.action_block)
    return encoder + directions * steps * (predictor + critic)


def fitted(point: Point, planner: Planner[Any]) -> Planner[Any]:
    """The planner with the point's budget."""
    count: Any = sized(planner, point.num_samples, point.iterations)
    return dataclasses.replace(count, horizon=point.horizon * ModelConfig.action_block)


def _spec() -> ActionSpec:
    return ActionSpec.of([-1.0] * ACTION, [1.0] * ACTION, 0.05)
