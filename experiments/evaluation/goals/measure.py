"""Measure policies on held-out pairs, one row each, and print the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs.goal_parts import asking
from planning import Agent
from worldmodel.models.checkpoint import Checkpoint

from ... import build
from ...build import goal_tasks
from ...build.goal_tasks import observation_name
from ...build.sensor_ranges import contract_words
from ...pictures.goal import Target
from ...records.episodes import EpisodeRecord
from ...records.intervals import percentiles, pool, wilson
from ...records.manifest import command
from ...records.results import Row
from ...shell.did_you_mean import did_you_mean
from ...shell.progress import progress_bar
from ..moments import goal_mask
from ..policy import ModelPolicy, NoopPolicy, Policy, RandomPolicy
from ..reactive import ReactivePolicy, reflex
from . import latency
from .approach import Approach, approach, goal_row
from .policies import SimulatedPolicy
from .protocols import Pairs, honest, one_goal
from .rollout import GoalEpisodes, run_episodes

POLICIES = ("model", "oracle", "ceiling", "reflex", "random", "noop")
SIMULATED = ("oracle", "ceiling")
PLANNING = ("model", *SIMULATED)
COMPILED = (*PLANNING, "reflex")  # by XLA, before the first step
OF_MODEL = ("model", "oracle", "reflex")  # the oracle takes encoder and cost from the model


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows of one seed, and the episodes behind them by policy."""

    rows: list[Row]
    episodes: dict[str, list[EpisodeRecord]]
    approaches: dict[str, Approach] = field(default_factory=dict)  # towards a goal that came as a picture


@dataclass(frozen=True)
class Learned:
    """Training data and method of a row's policy."""

    model: str  # jepa; empty for a baseline, whose name is the policy's
    env_steps: int | None
    train_seconds: float | None
    parameters: int | None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Learned:
        """Metadata of a world model's file."""
        known = checkpoint.metadata
        return cls("jepa", known.get("env_steps"), known.get("train_seconds"), checkpoint.model.parameters)


def _eyes(policy: str, agent: Agent) -> Any:
    """Model that embeds pictures for a policy, None for one that does not look at any."""
    return agent.model if policy in OF_MODEL else None


def check_policies(cfg: DictConfig) -> None:
    """Raise ValueError for an unknown row, before anything is computed."""
    for name in cfg.policies:
        if name not in POLICIES:
            raise ValueError(
                f"policies has no row called {name!r}: choose from {', '.join(POLICIES)}{did_you_mean(name, POLICIES)}"
            )


def measure(cfg: DictConfig, checkpoint: Checkpoint, seed: int, target: Target | None = None) -> Measured:
    """Every policy of the settings on the pairs of `seed`; the slow, simulated ones on the first of them.

    Args:
      cfg: the settings of `jepa-mpc plan`.
      checkpoint: of the model.
      seed: of the pairs.
      target: the goal of all of them; None: each has its own.
    """
    task = asking(goal_tasks.of_model(checkpoint, cfg.observation.distractor), list(cfg.get("asked") or ()))
    agent = build.agent(cfg, checkpoint.model, task)
    if target is None:
        pairs = honest(task, int(cfg.episodes), seed, cfg.get("goal_offset"))
    else:
        given = target.observation
        row = None if given is None else goal_row(agent, given, **contract_words(checkpoint))
        pairs = one_goal(task, int(cfg.episodes), seed, target.at, row)
    rows, episodes, approaches = [], {}, {}
    for name in cfg.policies:
        chosen = pairs.first(int(cfg.simulated_episodes)) if name in SIMULATED else pairs
        policy = make_policy(name, task, agent, seed)
        with progress_bar(f"{name} on {cfg.task.name}", chosen.budget, compiles=name in COMPILED) as bar:
            records = run_episodes(
                task, policy, chosen, bar, imagine_every=agent.planner.horizon // 2, model=_eyes(name, agent)
            )
            bar(chosen.budget, chosen.budget)
        times = None
        if pairs.row is None:
            times = timed(task, agent, policy, pairs, int(cfg.latency_plans), _eyes(name, agent))
        elif (judged := approach(task, agent, pairs.row, records)) is not None:
            approaches[name] = judged
        episodes[name] = records
        planner = type(agent.planner).__name__.lower() if name in PLANNING else ""
        learned = Learned.of(checkpoint) if name in OF_MODEL else None
        solved = [record.success for record in records] if pairs.known else None
        seen = observation_name(task)
        rows.append(make_row(chosen, name, solved, planner, learned, times, seen, **_names(cfg, seed)))
    return Measured(rows, episodes, approaches)


def show(rows: Sequence[Row], title: str) -> None:
    """Print the rows, pooled over seeds."""
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("policy", "success (95 %)", "n", "plan ms p50/95/99", "trained", "params"):
        table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    for policy in dict.fromkeys(row.policy for row in rows):
        row = pool([each for each in rows if each.policy == policy])
        assert row.success_rate is not None and row.ci_low is not None and row.ci_high is not None
        times = (row.plan_ms_p50, row.plan_ms_p95, row.plan_ms_p99)
        table.add_row(
            policy,
            f"{row.success_rate:.1%} ({100 * row.ci_low:.1f}–{100 * row.ci_high:.1f})",
            str(row.episodes),
            "/".join(f"{each:.1f}" for each in times if each is not None),
            "" if row.train_seconds is None else f"{row.train_seconds:.0f} s",
            "" if row.parameters is None else f"{row.parameters:,}",
            style="bold" if policy == "model" else "",
        )
    Console().print(table)


def make_policy(name: str, task: envs.Task, agent: Agent | None, seed: int) -> Policy[GoalEpisodes]:
    """One of `POLICIES`; random and noop need no agent.

    Raises:
      ValueError: the agent's model or planner does not support this policy.
    """
    if name == "random":
        return RandomPolicy(seed)
    if name == "noop" or agent is None:
        return NoopPolicy()
    if name == "reflex":
        return reflex(agent.model, goal_mask(task, agent.model))
    return ModelPolicy(agent, seed) if name == "model" else SimulatedPolicy(name, task, agent, seed)


def timed(
    task: envs.Task, agent: Agent | None, policy: Policy[GoalEpisodes], pairs: Pairs, plans: int, eyes: Any
) -> np.ndarray | None:
    """Milliseconds of single steps of a policy that acts on observations; None for other policies.

    `eyes` is the model that embeds pictures for it.
    """
    if isinstance(policy, ModelPolicy) and agent is not None:
        return latency.measure(task, agent, pairs, plans)
    return latency.measure_reactive(task, policy, pairs, plans, eyes) if isinstance(policy, ReactivePolicy) else None


def make_row(
    pairs: Pairs,
    policy: str,
    solved: Sequence[bool] | None,
    planner: str = "",
    learned: Learned | None = None,
    times: np.ndarray | None = None,
    observation: str = "state",
    **names: Any,
) -> Row:
    """Result row for the episodes of the pairs; `names` are further columns: task, variant, seed.

    `solved` is None where success cannot be judged.
    """
    low, high = (None, None) if solved is None else wilson(sum(solved), len(solved))
    rate = None if solved is None else sum(solved) / len(solved)
    p50, p95, p99 = percentiles(times) if times is not None else (None, None, None)
    return Row(
        observation=observation,
        protocol=pairs.protocol,
        goal_offset=pairs.goal_offset,
        budget=pairs.budget,
        policy=policy,
        planner=planner,
        model=learned.model if learned else "",
        episodes=len(pairs if solved is None else solved),
        successes=None if solved is None else sum(solved),
        success_rate=rate,
        ci_low=low,
        ci_high=high,
        return_mean=rate,
        env_steps=learned.env_steps if learned else None,
        train_seconds=learned.train_seconds if learned else None,
        parameters=learned.parameters if learned else None,
        plan_ms_p50=p50,
        plan_ms_p95=p95,
        plan_ms_p99=p99,
        command=command(),
        **names,
    )


def _names(cfg: DictConfig, seed: int) -> dict[str, Any]:
    return {"task": str(cfg.task.name), "variant": str(cfg.variant), "seed": seed}
