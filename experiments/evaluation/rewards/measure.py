"""`jepa-mpc plan checkpoint=FILE` for a model that learned from rewards: its returns on held-out episodes.

Rows: `planner` (the model with its planner), `policy` (its policy alone), `random`, and `ceiling` on
request: planning on the true dynamics, which learns nothing and is slow, on the first few of the same episodes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from envs.reward_task import RewardTask, check_seed
from envs.sensors import each
from planning import Agent
from planning.control import Controller

from ... import build
from ...build.learned import Learned, asked_for, learned
from ...build.recipes import file_name
from ...records import table_file
from ...records.intervals import percentiles, stratified_bootstrap
from ...records.manifest import command, manifest
from ...shell.progress import progress_bar
from ..moments import History, rows_of
from ..policy import ModelPolicy, Policy, RandomPolicy
from ..reactive import reflex
from . import true_dynamics
from .rollout import RewardEpisodes, episode_returns

POLICIES = ("planner", "policy", "random", "ceiling")
USUAL = ("planner", "policy", "random")
IDENTITY = ("task", "policy", "planner", "variant", "trained_seed", "seed")


@dataclass(frozen=True, kw_only=True)
class ReturnRow:
    """Result of one policy on held-out episodes. Fields that do not apply are empty.

    Raises:
      ValueError: a number that is not finite.
    """

    task: str
    policy: str  # planner, policy, random, ceiling
    planner: str  # empty where nothing is planned
    variant: str
    trained_seed: int | None
    seed: int  # of the episodes
    episodes: int
    mean_return: float = field(metadata={"column": "return"})
    ci_low: float | None  # 95 % bootstrap interval of the mean over episodes; None for a single one
    ci_high: float | None
    lowest: float
    highest: float
    plan_ms_p50: float | None  # of one decision in one environment
    plan_ms_p99: float | None
    decisions_per_second: float | None
    action_repeat: int
    env_steps: int | None  # of the training
    train_seconds: float | None
    parameters: int | None
    command: str

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} of a row of returns must be a finite number or None; got {value}")


def run(path: str | Path, *overrides: str) -> list[ReturnRow]:
    """Measure the model at `path` with the settings of `jepa-mpc plan`; one row per policy, printed and written.

    Planner and number of episodes are those of the training's evaluations, unless
    `overrides` change them.

    Raises:
      FileNotFoundError: there is no file.
      ValueError: a row, setting or task that does not fit the model, or a file that holds none.
    """
    known = learned(path, *overrides)
    cfg, ceiling = known.cfg, true_dynamics.settings(known.task, *known.cfg.ceiling)
    _suit_returns(cfg, ceiling, asked_for(overrides))
    for name in cfg.policies:
        if name not in POLICIES:
            raise ValueError(
                f"policies has no row called {name!r} for a model that learned from rewards: choose from "
                f"{', '.join(POLICIES)}"
            )
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    settings["ceiling"] = OmegaConf.to_container(ceiling.planner)
    made = manifest(settings, [int(cfg.seed)])
    out = Path(cfg.results) if cfg.results else Path(cfg.runs) / f"{file_name(known.task)}-plan.csv"
    table_file.read(out, ReturnRow)  # a table of another kind is refused before anything is measured
    task = known.make_blind_task()
    check_seed(task, int(cfg.seed))  # otherwise the rows would not share their starts
    task.close()
    rows = []
    for name in cfg.policies:
        rows.append(_measured(known, ceiling, str(name)))
        table_file.add(out, ReturnRow, [rows[-1]], IDENTITY, made)
    show(rows)
    Console().print(f"rows: {out}", markup=False, soft_wrap=True)
    return rows


def show(rows: Sequence[ReturnRow]) -> None:
    """Print the rows."""
    table = Table(title=f"{rows[0].task}: undiscounted return on held-out episodes" if rows else None, box=SIMPLE_HEAD)
    for column in ("policy", "return (95 %)", "n", "plan ms p50/p99", "decisions/s"):
        table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    for row in rows:
        interval = "" if row.ci_low is None else f" ({row.ci_low:.4g} to {row.ci_high:.4g})"
        table.add_row(
            row.policy,
            f"{row.mean_return:.4g}{interval}",
            str(row.episodes),
            "" if row.plan_ms_p50 is None else f"{row.plan_ms_p50:.1f}/{row.plan_ms_p99:.1f}",
            "" if row.decisions_per_second is None else f"{row.decisions_per_second:.0f}",
            style="bold" if row.policy == "planner" else "",
        )
    Console().print(table)


def _suit_returns(cfg: DictConfig, ceiling: DictConfig, overridden: Sequence[str]) -> None:
    """Default rows and numbers of episodes for returns, except those set by the overrides."""
    with open_dict(cfg):
        if "policies" not in overridden:
            cfg.policies = list(USUAL)
        for name, of in (("episodes", cfg), ("simulated_episodes", ceiling)):
            if name not in overridden and "budget" not in overridden:
                cfg[name] = int(of.online.evaluate_episodes)


def _measured(known: Learned, ceiling: DictConfig, name: str) -> ReturnRow:
    cfg, seed = known.cfg, int(known.cfg.seed)
    episodes = int(cfg.simulated_episodes if name == "ceiling" else cfg.episodes)
    policy, agent = _policy(known, ceiling, name)
    with progress_bar(f"{name} on {known.task}", 1, compiles=name != "random") as bar:
        model = None if agent is None else agent.model
        make_task = known.make_blind_task if model is None else known.make_task
        returns = episode_returns(make_task, policy, episodes, seed, bar, model)
    times = _times(known, name, policy, agent)
    metadata = known.checkpoint.metadata
    of_model = name in ("planner", "policy")
    searched = {"planner": cfg.planner, "ceiling": ceiling.planner}.get(name)
    low, high = stratified_bootstrap([returns]) if len(returns) > 1 else (None, None)
    p50, _, p99 = percentiles(times) if times is not None else (None, None, None)
    return ReturnRow(
        task=known.task,
        policy=name,
        planner="" if searched is None else str(searched["_target_"]).rpartition(".")[2].lower(),
        variant=str(cfg.variant),
        trained_seed=int(metadata["settings"]["seed"]) if of_model else None,
        seed=seed,
        episodes=episodes,
        mean_return=float(returns.mean()),
        ci_low=low,
        ci_high=high,
        lowest=float(returns.min()),
        highest=float(returns.max()),
        plan_ms_p50=p50,
        plan_ms_p99=p99,
        decisions_per_second=None if times is None else 1e3 / float(np.asarray(times).mean()),
        action_repeat=known.action_repeat,
        env_steps=metadata.get("env_steps") if of_model else 0,
        train_seconds=metadata.get("train_seconds") if of_model else None,
        parameters=known.checkpoint.model.parameters if of_model else None,
        command=command(),
    )


def _policy(known: Learned, ceiling: DictConfig, name: str) -> tuple[Policy[RewardEpisodes], Agent | None]:
    seed = int(known.cfg.seed)
    if name == "random":
        return RandomPolicy(seed), None
    if name == "ceiling":
        planner, spec = build.planner(ceiling), build.reward_spec(known.make_blind_task())
        return true_dynamics.TrueDynamics(known.make_blind_task, planner, spec, seed), None
    agent = known.agent()
    return ModelPolicy(agent, seed) if name == "planner" else reflex(agent.model), agent


def _times(known: Learned, name: str, policy: Policy[RewardEpisodes], agent: Agent | None) -> ArrayLike | None:
    """Milliseconds of single decisions in one environment, after warm-up; None for a policy that computes nothing."""
    if isinstance(policy, true_dynamics.TrueDynamics):
        return policy.milliseconds[1:] or policy.milliseconds  # the first one compiles
    if agent is None or known.cfg.latency_plans < 1:
        return None
    known_task, controller = known.make_task(), Controller(agent)
    controller.warmup()
    model = agent.model
    nothing, past = np.zeros(model.embedding_size, np.float32), History(model.history)
    engine = controller.engine

    def prior(observation: Any) -> Any:
        row = rows_of(known_task, each(lambda values: values[None], observation), model)
        return engine.reflex(past.push(row)[0], nothing)

    act = controller.act if name == "planner" else prior
    return _closed_loop(known_task, controller.reset, act, int(known.cfg.latency_plans), int(known.cfg.seed))


def _closed_loop(
    task: RewardTask, reset: Callable[[], None], act: Callable[[Any], Any], decisions: int, seed: int
) -> list[float]:
    milliseconds: list[float] = []
    running, observation = False, None
    while len(milliseconds) < decisions:
        if not running:
            observation = task.reset(seed + len(milliseconds))
            reset()
        began = time.perf_counter()
        action = act(observation)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        step = task.step(action)
        observation, running = step.observation, not (step.terminated or step.truncated)
    task.close()
    return milliseconds
