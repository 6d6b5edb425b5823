"""Set-point changes of the stirred tank: tracking error of its temperature, and breaches of its limit.

Every policy gets the same changes, and the whole episode counts: it does not end when the set-point is reached.
`oracle` plans with the model's encoder and cost on the true dynamics, from the true state, so the predictor causes none
of its errors. It is slow and measured on the first changes only; `model_on_the_oracles` is the model on these changes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from envs.pid import PidState
from envs.stirred_tank import COMMAND, COOLING, FEED, StirredTank
from planning import Agent

from ... import build
from ...evaluation.goals.measure import SIMULATED, make_policy
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.goals.rollout import GoalEpisodes
from ...evaluation.moments import spec_of
from ...evaluation.policy import Policy
from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values
from ...shell.did_you_mean import did_you_mean
from ...shell.progress import progress_bar
from ...training.ensure import ensure_model

logger = logging.getLogger(__name__)

POLICIES = ("model", "pid", "oracle", "ceiling", "random")
DISTURBANCES = {"feed": (FEED, 1.1), "cooling": (COOLING, 0.8)}  # by name: index in the state, and new value
RECOVERED = 20  # periods at the end of an episode that measure the recovery
TOGETHER = 50  # episodes that advance together


class PidPolicy:
    """The task's PID controller on the measured temperature; its first command is the coolant's current one."""

    name = "pid"

    def __init__(self, task: StirredTank):
        self._pid, self._slice = task.pid(), spec_of(task).slices["temperature"]
        self._state: PidState | None = None

    def reset(self, episodes: GoalEpisodes) -> None:
        """Start the episodes, with their set-points and the coolant's initial command."""
        self._episodes, self._state = episodes, None

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """Controls of this period."""
        measured = observations[:, self._slice].ravel().astype(np.float64)
        if self._state is None:
            self._state = self._pid.init(measured, self._episodes.states[:, COMMAND])
        controls, self._state = self._pid.control(self._state, self._episodes.pairs.goals[:, 0], measured)
        return controls[:, None].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Followed:
    """Results of set-point changes: squared errors of the temperature (K²), breaches of its limit, and successes."""

    errors: Float[ndarray, "B T"]
    breached: Bool[ndarray, "B"]
    reached: Bool[ndarray, "B"]

    def first(self, count: int) -> Followed:
        """The first `count` changes."""
        return Followed(self.errors[:count], self.breached[:count], self.reached[:count])

    @property
    def squared_error(self) -> float:
        """Mean squared error over all periods of all episodes, K²."""
        return float(self.errors.mean())

    @property
    def final_error(self) -> float:
        """Root mean square error over the last periods, K: the error that remains after a disturbance."""
        return float(np.sqrt(self.errors[:, -RECOVERED:].mean()))


def run(cfg: DictConfig) -> list[Value]:
    """Measure every policy, print a table, and write `stirred_tank.csv`.

    Raises:
      ValueError: a policy does not exist.
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    suite, seed = cfg.suite, int(cfg.suite.seed)
    for name in suite.policies:
        if name not in POLICIES:
            raise ValueError(
                f"suite.policies has no row called {name!r}: choose from {', '.join(POLICIES)}"
                f"{did_you_mean(name, POLICIES)}"
            )
    settings = build.compose("plan", "task=stirred_tank", f"runs='{cfg.runs}'", f"seed={seed}", *suite.overrides)
    task, checkpoint = StirredTank(), ensure_model(settings, seed)
    agent = build.agent(settings, checkpoint.model, task)
    pairs = honest(task, int(suite.changes), int(suite.changes_seed))
    few, disturbed = pairs.first(int(suite.simulated_changes)), pairs.first(int(suite.disturbed_changes))
    values = [Value("stirred_tank_train_seconds", float(checkpoint.metadata["train_seconds"]), "s")]
    found: dict[str, Followed] = {}
    recovery: dict[str, dict[str, Followed]] = {}
    for name in suite.policies:
        simulated = name in SIMULATED
        policy = _policy(name, task, agent, seed)
        found[name] = follow(task, policy, few if simulated else pairs)
        values += _values(name, found[name])
        if name in ("model", "pid"):
            recovery[name] = {
                kind: follow(task, policy, disturbed, kind, int(suite.disturbed_at)) for kind in DISTURBANCES
            }
            values += [each for kind, one in recovery[name].items() for each in _values(f"{name}_{kind}", one)]
    if "model" in found and "oracle" in found:
        same = found["model"].first(len(few))
        ratio = same.squared_error / found["oracle"].squared_error
        values.append(Value("stirred_tank_squared_error_model_on_the_oracles", same.squared_error, "K²"))
        values.append(Value("stirred_tank_squared_error_model_to_oracle", ratio, "ratio"))
    _show(found, recovery)
    append_values(Path(cfg.results) / "stirred_tank.csv", values, manifest(cfg, [seed]))
    require(suite, values)
    return values


def follow(
    task: StirredTank, policy: Policy[GoalEpisodes], pairs: Pairs, disturbance: str | None = None, onset: int = 0
) -> Followed:
    """Run every episode to the end of the task's budget.

    Args:
      task: the tank.
      policy: the policy that controls it.
      pairs: starts and set-points.
      disturbance: key of `DISTURBANCES`; None: no disturbance.
      onset: control period in which the disturbance begins.
    """
    parts = []
    title = policy.name if disturbance is None else f"{policy.name}, {disturbance}"
    with progress_bar(f"{title} on {task.name}", len(pairs), compiles=True) as bar:
        size = 1 if policy.name in SIMULATED else TOGETHER
        for first in range(0, len(pairs), size):
            part = pairs.part(first, first + size)
            parts.append((_path(task, policy, part, disturbance, onset), part.goals))
            bar(min(first + size, len(pairs)), len(pairs))
    path, goals = (np.concatenate(each) for each in zip(*parts, strict=True))
    reached = task.success(path, goals[:, None]).any(axis=1)
    breached = np.asarray(task.breached(path).any(axis=1))
    return Followed(task.cost(path, goals[:, None]), breached, np.asarray(reached))


def _path(
    task: StirredTank, policy: Policy[GoalEpisodes], pairs: Pairs, disturbance: str | None, onset: int
) -> Float[ndarray, "B T S"]:
    episodes, active, path = GoalEpisodes(task, pairs), np.ones(len(pairs), bool), []
    policy.reset(episodes)
    for period in range(pairs.budget):
        if disturbance is not None and period == onset:
            part, value = DISTURBANCES[disturbance]
            episodes.states = episodes.states.copy()
            episodes.states[:, part] = value
        actions = policy.act(episodes.observe(), active)
        episodes.states = task.simulate(episodes.states, actions[:, None].astype(np.float64))[:, 0]
        path.append(episodes.states)
    return np.stack(path, axis=1)


def _policy(name: str, task: StirredTank, agent: Agent, seed: int) -> Policy[GoalEpisodes]:
    return PidPolicy(task) if name == "pid" else make_policy(name, task, agent, seed)


def _values(name: str, found: Followed) -> list[Value]:
    count = len(found.errors)
    return [
        Value(f"stirred_tank_squared_error_{name}", found.squared_error, "K²"),
        Value(f"stirred_tank_final_error_{name}", found.final_error, "K"),
        Value(f"stirred_tank_breaches_{name}", float(found.breached.sum()), f"of {count} changes"),
        Value(f"stirred_tank_success_{name}", float(found.reached.mean()), f"share of {count} changes"),
    ]


def _show(found: dict[str, Followed], recovery: dict[str, dict[str, Followed]]) -> None:
    table = Table(title="set-point changes of the stirred tank", box=SIMPLE_HEAD)
    for column in ("policy", "changes", "squared error, K²", "last minute, K", "breaches", "reached"):
        table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    rows: dict[str, Any] = dict(found)
    rows |= {f"{name}, {kind}": one for name, kinds in recovery.items() for kind, one in kinds.items()}
    for name, one in rows.items():
        table.add_row(
            name,
            str(len(one.errors)),
            f"{one.squared_error:.2f}",
            f"{one.final_error:.2f}",
            str(int(one.breached.sum())),
            f"{one.reached.mean():.1%}",
        )
    Console().print(table)
