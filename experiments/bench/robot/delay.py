"""Cost of an actuator delay, and its recovery by rolling the model through the committed actions.

Time is virtual: every episode waits for its plan, and only the action is late, by whole physics steps. An action may
therefore take effect within a control period, whose first part still has the previous action. The three rows are
paired: same starts, goals and draws.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs.mujoco_task import MujocoTask
from envs.rollout import BatchPhysics
from planning import Agent, reset_many, step_many
from planning.agent import AgentState
from worldmodel.models.checkpoint import load_model

from ... import build
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.moments import goal_rows, true_rows
from ...records.intervals import paired_difference, wilson
from ...records.manifest import manifest
from ...records.results import Value, append_values
from ...shell.progress import progress_bar

logger = logging.getLogger(__name__)

MODES = ("none", "off", "on")  # no delay; a delay without compensation; a delay with compensation


@jax.jit
def _step(agent: Agent, states: AgentState, observations: Any, active: Any, offset: Any) -> tuple[Any, AgentState]:
    """Advance every episode by one step; the action sent is the plan's for `offset` periods from now."""
    _, plan, states = step_many(agent, states, observations, active)
    last = plan.actions.shape[1] - 1
    at = jnp.clip(states.executed - 1 + offset, 0, last)
    return jnp.take_along_axis(plan.actions, at[:, None, None], axis=1)[:, 0], states


_reset = jax.jit(reset_many)


@final
class Pipeline:
    """Queue of the actions in effect, per physics step: an action that is sent takes effect `late` steps later.

    Args:
      rest: [A] action in effect before the first one sent.
      episodes: number of episodes B.
      late: delay in physics steps.
      substeps: physics steps per control period.
    """

    def __init__(self, rest: Float[ndarray, "A"], episodes: int, late: int, substeps: int):
        self._late, self._substeps = late, substeps
        self._ahead = np.broadcast_to(rest, (episodes, late + substeps, len(rest))).astype(np.float64)

    def send(self, actions: Float[ndarray, "B A"]) -> Float[ndarray, "B s A"]:
        """Send actions and advance by one control period; return the actions in effect in each of its physics steps."""
        self._ahead[:, self._late :] = actions[:, None]
        acting = self._ahead[:, : self._substeps].copy()
        held = np.repeat(self._ahead[:, -1:], self._substeps, axis=1)
        self._ahead = np.concatenate([self._ahead[:, self._substeps :], held], axis=1)
        return acting

    def committed(self, periods: int) -> Float[ndarray, "B n A"]:
        """The mean action of each of the next periods, for a model that steps by whole periods."""
        steps = periods * self._substeps
        held = np.repeat(self._ahead[:, -1:], max(0, steps - self._ahead.shape[1]), axis=1)
        known = np.concatenate([self._ahead, held], axis=1)[:, :steps]
        return known.reshape(len(known), periods, self._substeps, known.shape[2]).mean(axis=2)


@final
class DelayedLoop:
    """A batch of episodes whose actions take effect `delay` seconds after they are sent.

    Raises:
      ValueError: the delay is not a whole number of physics steps, or exceeds the planning horizon.
    """

    def __init__(self, task: MujocoTask, agent: Agent, delay: float, compensate: bool, seed: int):
        timestep = float(task.model.opt.timestep)
        self._late = round(delay / timestep)  # physics steps
        if delay < 0 or abs(self._late * timestep - delay) > 1e-6:
            raise ValueError(
                f"the delay must be a whole number of physics steps of {1e3 * timestep:g} ms; got {1e3 * delay:g} ms"
            )
        if task.model.nu == 0:
            raise ValueError(f"{task.name} has no actuators to delay by physics steps: choose another task")
        self._task, self._agent = task, agent
        self._oracle = BatchPhysics(task.model, 1, task.physics.velocity_limit)
        self._key = jax.random.key(seed)
        # The period from now in which an action is mostly in effect; the plan's action for it is sent.
        self._periods = int(np.floor(self._late / task.physics.substeps + 0.5)) if compensate else 0
        if self._periods > agent.planner.horizon - 1:
            raise ValueError(f"plans of {agent.planner.horizon} steps end before a delay of {1e3 * delay:g} ms does")

    def run(self, pairs: Pairs, name: str) -> Bool[ndarray, "B"]:
        """Whether each goal is reached within the task's budget."""
        task, agent = self._task, self._agent
        goals = jnp.asarray(goal_rows(task, pairs.goals))
        searches = _reset(agent, goals, self._key, jnp.arange(len(pairs)))
        pipeline = Pipeline(np.asarray(agent.spec.rest_action), len(pairs), self._late, task.physics.substeps)
        states, active = pairs.states.copy(), np.ones(len(pairs), bool)
        with progress_bar(name, task.budget, compiles=True) as bar:
            for step in range(task.budget):
                searches = self._freeze(searches, pipeline)
                observations = jnp.asarray(true_rows(task, states))
                sent, searches = _step(agent, searches, observations, jnp.asarray(active), self._periods)
                following = self._oracle.simulate(states, pipeline.send(np.asarray(sent)))[:, -1]
                states = np.where(active[:, None], following, states)
                active &= ~task.success(states, pairs.goals)
                bar(step + 1, task.budget)
                if not active.any():
                    break
            bar(task.budget, task.budget)
        return ~active

    def _freeze(self, searches: AgentState, pipeline: Pipeline) -> AgentState:
        """`Agent.freeze` in every episode."""
        if not self._periods:
            return searches
        committed = np.zeros(searches.committed.shape, np.float32)
        committed[:, : self._periods] = pipeline.committed(self._periods)
        frozen = np.full(len(committed), self._periods, np.int32)
        return dataclasses.replace(searches, committed=jnp.asarray(committed), frozen=jnp.asarray(frozen))


def run(cfg: DictConfig) -> dict[str, Bool[ndarray, "B"]]:
    """Whether each paired episode reaches its goal, by mode; writes rows `delay_<ms>ms_success_<mode>`.

    Raises:
      ValueError: there is no checkpoint, or it is for another task.
    """
    suite = cfg.suite
    if suite.checkpoint is None:
        raise ValueError("suite=delay needs a trained model: add suite.checkpoint=FILE")
    checkpoint = load_model(str(suite.checkpoint))
    trained_for = checkpoint.metadata.get("task", {}).get("task")
    if trained_for != suite.task:
        raise ValueError(f"{suite.checkpoint} was trained for the task {trained_for}: add suite.task={trained_for}")
    task = envs.make(str(suite.task))
    assert isinstance(task, MujocoTask)
    settings = build.compose("plan", f"task={suite.task}", *suite.overrides)
    agent = build.agent(settings, checkpoint.model, task)
    seed, milliseconds = int(cfg.seed), float(suite.delay_ms)
    pairs = honest(task, int(suite.episodes), seed)
    reached = {}
    for mode in MODES:
        delay = 0.0 if mode == "none" else milliseconds / 1e3
        loop = DelayedLoop(task, agent, delay, mode == "on", seed)
        reached[mode] = loop.run(pairs, f"delay {'of 0' if mode == 'none' else f'{milliseconds:g}'} ms, {mode}")
    made = manifest(cfg, [seed])
    path = Path(cfg.results) / "robot_loop.csv"
    rows = [Value(f"delay_{milliseconds:g}ms_success_{mode}", float(reached[mode].mean()), "share") for mode in MODES]
    append_values(path, rows, made)
    _show(task, reached, milliseconds)
    return reached


def _show(task: MujocoTask, reached: dict[str, ndarray], milliseconds: float) -> None:
    periods = milliseconds / 1e3 / task.control_period
    title = f"{task.name}, actions {milliseconds:g} ms late: {periods:g} control periods"
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("compensation", "success (95 %)", "n", "less no delay, paired (95 %)"):
        table.add_column(column, justify="left" if column == "compensation" else "right", no_wrap=True)
    for mode in MODES:
        successes, episodes = int(reached[mode].sum()), len(reached[mode])
        low, high = wilson(successes, episodes)
        only_this = int((reached[mode] & ~reached["none"]).sum())
        only_other = int((~reached[mode] & reached["none"]).sum())
        difference, least, most = (100 * each for each in paired_difference(only_this, only_other, episodes))
        table.add_row(
            "no delay" if mode == "none" else mode,
            f"{successes / episodes:.1%} ({100 * low:.1f}–{100 * high:.1f})",
            str(episodes),
            "" if mode == "none" else f"{difference:+.1f} ({least:+.1f} to {most:+.1f}) points",
        )
    Console().print(table)
