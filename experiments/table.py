"""Measure policies on held-out pairs, one row each, and print the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from planning import Agent
from worldmodel.checkpoint import Checkpoint

from . import build, latency
from .evaluate import run_episodes
from .manifest import command
from .policies import ModelPolicy, NoopPolicy, Policy, RandomPolicy, SimulatedPolicy
from .progress import progress_bar
from .protocols import Pairs, honest
from .records import EpisodeRecord
from .results import Row
from .statistics import percentiles, pool, wilson

POLICIES = ("model", "oracle", "ceiling", "random", "noop")
SIMULATED = ("oracle", "ceiling")


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows of one seed, and the episodes behind them by policy."""

    rows: list[Row]
    episodes: dict[str, list[EpisodeRecord]]


def check_policies(cfg: DictConfig) -> None:
    """Raise ValueError on a row that does not exist, before anything is computed."""
    for name in cfg.policies:
        if name not in POLICIES:
            raise ValueError(f"policies has no row called {name!r}: choose from {', '.join(POLICIES)}")


def measure(cfg: DictConfig, checkpoint: Checkpoint, seed: int) -> Measured:
    """Every policy of the settings on the pairs of `seed`; the slow, simulated ones on the first of them."""
    task = envs.make(cfg.task.name)
    agent = build.agent(cfg, checkpoint.model, task)
    pairs = honest(task, int(cfg.episodes), seed)
    rows, episodes = [], {}
    for name in cfg.policies:
        chosen = pairs.first(int(cfg.simulated_episodes)) if name in SIMULATED else pairs
        policy = _policy(name, task, agent, seed)
        with progress_bar(f"{name} on {cfg.task.name}", task.budget) as bar:
            records = run_episodes(task, policy, chosen, bar, imagine_every=agent.planner.horizon // 2)
            bar(task.budget, task.budget)
        times = latency.measure(task, agent, pairs, int(cfg.latency_plans)) if name == "model" else None
        episodes[name] = records
        rows.append(_row(cfg, task, checkpoint, agent, pairs, records, times, seed))
    return Measured(rows, episodes)


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


def markdown(rows: Sequence[Row]) -> str:
    """The rows of several tasks, pooled over seeds, as the table of README."""
    lines = [
        "| task | policy | success | 95 % interval | episodes | plan p50 / p99 | training | parameters |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, policy in dict.fromkeys((row.task, row.policy) for row in rows):
        row = pool([each for each in rows if (each.task, each.policy) == (task, policy)])
        assert row.success_rate is not None and row.ci_low is not None and row.ci_high is not None
        cells = [
            task,
            policy,
            f"{row.success_rate:.1%}",
            f"{100 * row.ci_low:.1f} – {100 * row.ci_high:.1f}",
            str(row.episodes),
            "" if row.plan_ms_p50 is None else f"{row.plan_ms_p50:.1f} / {row.plan_ms_p99:.1f} ms",
            "" if row.train_seconds is None or policy != "model" else f"{row.train_seconds:.0f} s",
            "" if row.parameters is None or policy != "model" else f"{row.parameters:,}",
        ]
        if policy == "model":
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _policy(name: str, task: envs.Task, agent: Agent, seed: int) -> Policy:
    if name == "model":
        return ModelPolicy(task, agent, seed)
    if name in SIMULATED:
        return SimulatedPolicy(name, task, agent, seed)
    return RandomPolicy(task, seed) if name == "random" else NoopPolicy(task)


def _row(
    cfg: DictConfig,
    task: envs.Task,
    checkpoint: Checkpoint,
    agent: Agent,
    pairs: Pairs,
    records: Sequence[EpisodeRecord],
    times: np.ndarray | None,
    seed: int,
) -> Row:
    successes = sum(record.success for record in records)
    low, high = wilson(successes, len(records))
    policy = records[0].policy
    learned = policy in ("model", "oracle")  # the oracle takes encoder and cost from the model
    p50, p95, p99 = percentiles(times) if times is not None else (None, None, None)
    return Row(
        task=task.name,
        observation="state",
        protocol=pairs.protocol,
        budget=task.budget,
        policy=policy,
        planner=type(agent.planner).__name__.lower() if policy in ("model", *SIMULATED) else "",
        model="jepa" if learned else "",
        variant=str(cfg.variant),
        seed=seed,
        episodes=len(records),
        successes=successes,
        success_rate=successes / len(records),
        ci_low=low,
        ci_high=high,
        return_mean=successes / len(records),
        env_steps=checkpoint.metadata.get("env_steps") if learned else None,
        train_seconds=checkpoint.metadata.get("train_seconds") if learned else None,
        parameters=checkpoint.model.parameters if learned else None,
        plan_ms_p50=p50,
        plan_ms_p95=p95,
        plan_ms_p99=p99,
        command=command(),
    )
