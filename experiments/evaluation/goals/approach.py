"""How near a policy comes to a goal that is only known as a picture: by the model's critic, and for the eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from envs import Task
from planning import Agent
from planning.control import Goal, LiveEngine
from planning.control.engine.embedding import embedding
from planning.control.engine.goal import checked_goal
from planning.solutions import distances

from ...records.episodes import EpisodeRecord
from ...records.intervals import pool
from ...records.results import Row
from ..moments import true_rows


@dataclass(frozen=True, eq=False)
class Approach:
    """The critic's environment steps to the goal, at the first and the last moment of each episode."""

    start: Float[ndarray, "B"]
    end: Float[ndarray, "B"]


def goal_row(agent: Agent, observation: dict[str, ndarray], **words: Any) -> Float[ndarray, "E"]:
    """Row of a goal's readings, checked as a controller checks them; NaN where the goal is free.

    Args:
      agent: whose model embeds pictures.
      observation: readings by sensor; a sensor that is left out is free.
      words: of the contract, as `LiveEngine` takes them.

    Raises:
      ValueError: the readings are not plausible, or the model needs every sensor of a goal.
    """
    engine = LiveEngine(agent, **words)
    return checked_goal(Goal(observation), engine.contract, embed=embedding(engine))


def approach(task: Task, agent: Agent, row: Float[ndarray, "E"], records: Sequence[EpisodeRecord]) -> Approach | None:
    """Judge episodes by the critic of the agent's model; None for a model without one.

    Args:
      task: of the episodes.
      agent: whose model judges.
      row: of the goal, NaN where it is free.
      records: of the episodes.
    """
    model: Any = agent.model
    if model.heads.distance is None:
        return None
    history = model.history
    begin = np.stack([np.repeat(each.states[:1], history, axis=0) for each in records])
    end = np.stack([_last(each.states, history) for each in records])
    stacks = true_rows(task, np.concatenate([begin, end]), model)
    steps = np.asarray(_steps(agent, stacks, np.nan_to_num(row), ~np.isnan(row)))
    return Approach(steps[: len(records)], steps[len(records) :])


def last_pictures(task: Any, records: Sequence[EpisodeRecord]) -> dict[str, UInt8[ndarray, "B h w 3"]]:
    """Pictures of each episode's last moment by camera."""
    seen = task.observe(np.stack([each.states[-1] for each in records]))
    return {sensor.name: seen[sensor.name] for sensor in task.sensors if len(sensor.shape) > 1}


def _last(states: Float[ndarray, "T S"], count: int) -> Float[ndarray, "P S"]:
    """The last states, the first one repeated before the start."""
    return states[np.maximum(np.arange(len(states) - count, len(states)), 0)]


@jax.jit
def _steps(agent: Agent, stacks: Any, row: Any, asked: Any) -> Any:
    model: Any = agent.model
    latents = model.encode(model.params, stacks)
    return jnp.min(distances(model, latents, agent.solutions(row, asked)), axis=-1)


def show_approaches(rows: Sequence[Row], approaches: Mapping[str, Sequence[Approach]], title: str) -> None:
    """Print the critic's median steps to the goal, and the success of each policy where that can be judged.

    Args:
      rows: of all seeds.
      approaches: of each seed by policy.
      title: of the table.
    """
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("policy", "start", "end", "success (95 %)", "n"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for policy in dict.fromkeys(row.policy for row in rows):
        own = [row for row in rows if row.policy == policy]
        judged = approaches.get(policy, ())
        ends = [np.concatenate([getattr(each, name) for each in judged]) for name in ("start", "end") if judged]
        medians = [f"{np.median(each):.1f}" for each in ends] or ["–", "–"]
        pooled = pool(own) if own[0].successes is not None else None
        success = "not known" if pooled is None else f"{pooled.success_rate:.1%}"
        if pooled is not None and pooled.ci_low is not None and pooled.ci_high is not None:
            success += f" ({100 * pooled.ci_low:.1f}–{100 * pooled.ci_high:.1f})"
        table.add_row(policy, *medians, success, str(sum(row.episodes or 0 for row in own)))
    Console().print(table)
