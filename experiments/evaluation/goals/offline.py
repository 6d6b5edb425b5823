"""Plans towards held-out goals of logs, without a simulator: what is measured is imagined, except where a row says it.

A pair is a moment of a held-out episode and the moment that the robot reached a planner's horizon later. All sequences
of actions start from the first; the model imagines where they end, and its critic says how many steps that is from the
second. So nothing here is a success rate: a model that imagines wrongly is wrong about all rows alike. The logged
actions are known to lead to the goal, so their row shows how far the imagination can be trusted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from planning import Agent
from planning.agent import AgentState
from planning.objective import imagine
from worldmodel.data.episodes import EpisodeData

from ...build.embeddings import data_rows
from ...records.intervals import spearman

RANDOM = 16  # sequences of random actions a pair
_COLUMNS = ("row", "pairs", "steps left, median", "nearer than at the start", "first action off by")


@dataclass(frozen=True)
class OfflineRow:
    """One kind of action sequence, over all pairs.

    Attributes:
      name: what it is; it says whether its end is imagined.
      pairs: number of pairs.
      steps_left: from the end to the goal, in environment steps, by the critic: the median.
      nearer: share of the pairs whose end is nearer to the goal than the start, by the critic.
      action_error: distance of the first action from the logged one, root mean square, as a share of the half range.
    """

    name: str
    pairs: int
    steps_left: float
    nearer: float
    action_error: float | None = None


@dataclass(frozen=True)
class Offline:
    """Rows, and how well the critic orders the pairs of the held-out episodes by the steps between them."""

    rows: tuple[OfflineRow, ...]
    horizon: int  # environment steps from start to goal
    rank: float  # rank correlation of the critic's distance with the logged steps, at several distances

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {"horizon": self.horizon, "rank": self.rank, "rows": [asdict(row) for row in self.rows]}


def offline(agent: Agent, data: EpisodeData, pairs: int, seed: int) -> Offline:
    """Plan once from each of some moments of held-out data, towards the moment a horizon later.

    Args:
      agent: model and planner.
      data: held-out episodes.
      pairs: at most as many.
      seed: of the pairs, the plans and the random actions.

    Raises:
      ValueError: the model has no critic, or no episode is longer than the horizon.
    """
    model: Any = agent.model
    if model.heads.distance is None:
        raise ValueError("without a simulator plans are judged by the model's critic, and this model has none")
    horizon = int(agent.planner.horizon)
    rng = np.random.default_rng(seed)
    starts = np.flatnonzero(data.last - np.arange(data.rows) >= horizon)
    if not len(starts):
        raise ValueError(
            f"no held-out episode is longer than the planner's horizon of {horizon} steps: set a shorter "
            "planner.horizon"
        )
    begin = np.sort(rng.permutation(starts)[:pairs])
    rows = data_rows(model, data).astype(np.float32)
    history = np.maximum(begin[:, None] + np.arange(1 - model.history, 1), data.first[begin][:, None])
    logged = data.actions[begin[:, None] + np.arange(horizon)]
    low, high = data.action_low, data.action_high
    random = rng.uniform(low, high, (len(begin), RANDOM, horizon, len(low))).astype(np.float32)
    still = np.broadcast_to(np.clip(0.0, low, high).astype(np.float32), logged.shape)

    def pair(item: tuple[Array, Array, Array, Array, Array, Array]) -> dict[str, Array]:
        number, seen, goal, taken, drawn, none = item
        state: AgentState = agent.reset(empty, goal, key, number)
        for moment in seen[:-1]:
            state = agent.observe(state, moment)
        action, plan, state = agent.step(state, seen[-1])
        tried = jnp.concatenate([plan.actions[None], taken[None], none[None], drawn])
        latents = imagine(model, state.root, tried, agent.precision, 1).latent
        ends = latents.reshape(len(tried), -1, latents.shape[-1])[:, -1]
        rest = model.encode(model.params, jnp.repeat(goal[None], len(seen), axis=0))
        return {
            "ends": _steps(model, ends, state.goal),
            "start": _steps(model, state.root[None], state.goal)[0],
            "there": _steps(model, rest[None], state.goal)[0],
            "action": action,
        }

    key = jax.random.key(seed)
    empty = agent.init(key)
    items = (
        jnp.arange(len(begin), dtype=jnp.int32),
        jnp.asarray(rows[history]),
        jnp.asarray(rows[begin + horizon]),
        *(jnp.asarray(each) for each in (logged, random, still)),
    )
    found = jax.device_get(jax.jit(lambda items: jax.lax.map(pair, items))(items))
    ends, start = found["ends"], found["start"]
    half = np.maximum((high - low) / 2, 1e-12)

    def row(name: str, left: ndarray, first: ndarray | None) -> OfflineRow:
        error = None if first is None else float(np.sqrt(np.square((first - logged[:, None, 0]) / half).mean()))
        nearer = left < (start if left.ndim == 1 else start[:, None])
        return OfflineRow(name, len(begin), float(np.median(left)), float(nearer.mean()), error)

    return Offline(
        (
            row("plan, imagined", ends[:, 0], found["action"][:, None]),
            row("logged actions, imagined", ends[:, 1], logged[:, None, 0]),
            row("no action, imagined", ends[:, 2], still[:, None, 0]),
            row("random actions, imagined", ends[:, 3:], random[:, :, 0]),
            row("the goal itself, recorded", found["there"], None),
            row("the start, recorded", start, None),
        ),
        horizon,
        _rank(agent, data, rows, rng),
    )


def show(found: Offline, console: Console, title: str) -> None:
    """Print the table, and what it is not."""
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "row" else "right")
    for row in found.rows:
        off = "" if row.action_error is None else f"{row.action_error:.2f}"
        table.add_row(row.name, str(row.pairs), f"{row.steps_left:.1f}", f"{row.nearer:.0%}", off)
    console.print(table)
    console.print(
        f"goals are {found.horizon} steps later in held-out episodes; steps left are the critic's, which orders "
        f"recorded distances with a rank correlation of {found.rank:.2f}. No success was measured, "
        "for want of a simulator.",
        soft_wrap=True,
    )


def _steps(model: Any, latents: Float[Array, "N D"], goal: Float[Array, "D"]) -> Float[Array, "N"]:
    return jnp.ravel(model.heads.distance(model.params, latents, jnp.broadcast_to(goal, latents.shape)))


def _rank(agent: Agent, data: EpisodeData, rows: Float[ndarray, "M E"], rng: np.random.Generator) -> float:
    """Rank correlation of the critic's distance and the steps between two moments of one episode."""
    model: Any = agent.model
    begin = rng.integers(data.rows, size=512)
    steps = rng.integers(1, 2 * int(agent.planner.horizon) + 1, size=512)
    kept = begin + steps <= data.last[begin]
    begin, steps = begin[kept], steps[kept]
    if len(begin) < 8:
        return float("nan")
    stacks = rows[np.maximum(begin[:, None] - np.asarray(model.lags), data.first[begin][:, None])]
    goals = np.repeat(rows[begin + steps][:, None], len(model.lags), axis=1)
    latents, ends = (model.encode(model.params, jnp.asarray(each)) for each in (stacks, goals))
    return float(spearman(np.asarray(model.heads.distance(model.params, latents, ends)).ravel(), steps.astype(float)))
