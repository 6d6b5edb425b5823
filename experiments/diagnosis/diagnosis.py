"""The diagnosis of one model by `jepa-mpc diagnose`: figures, curves and verdicts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig

import envs
from envs.task import HasScript, PlanarView, Scene
from planning import Agent, AskTell, Planner
from worldmodel.data.windows import WindowSampler
from worldmodel.diagnostics.foresight import Foresight, foresight
from worldmodel.diagnostics.health import diagnose
from worldmodel.diagnostics.linear_probe import linear_probe
from worldmodel.models.checkpoint import Checkpoint
from worldmodel.models.freeze import FrozenModel

from .. import build
from ..build import goal_tasks
from ..build.recipes import CUSTOM
from ..build.robots import robot_of
from ..evaluation.goals.protocols import honest
from ..evaluation.goals.rollout import run_episodes
from ..evaluation.policy import ModelPolicy
from ..records.intervals import spearman
from ..shell.progress import progress_bar
from ..training.data_checks import check_data, check_moves, check_range, check_task
from ..training.given_data import load_for_model
from ..training.prepared import probe_targets
from .cost_landscape import Slice, slices
from .distance_curve import Reach, of_data, of_script
from .failure_attribution import Failure, blame
from .held_out import HeldOut, end_of, fresh

logger = logging.getLogger(__name__)

DRIVES = 64  # episodes of the script, for the distance curve
SITUATIONS = 8  # starts with a slice of the cost landscape
PROBED = 4096  # moments to train and test the linear probes
WATCHED = 3  # observations from which sensors show a velocity
SHOWN = 0.8  # minimum R² for a quantity to count as visible to the sensors


@dataclass(eq=False)
class Diagnosis:
    """Results of a diagnosis; parts that the model, the data or the settings do not allow are None or empty."""

    task: str
    source: str  # origin of the held-out data, as text
    action_block: int
    control_period: float  # seconds
    values: dict[str, float] = field(default_factory=dict)  # ranges in `experiments.training.health`
    probes: dict[str, float] = field(default_factory=dict)  # held-out R² of each degree of freedom, from latents
    sensed: dict[str, float] = field(default_factory=dict)  # the same, from the sensors
    foresight: Foresight | None = None
    reach: Reach | None = None
    slices: list[Slice] = field(default_factory=list)
    scene: Scene | None = None
    episodes: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)  # the judged failures


def diagnosis(cfg: DictConfig, checkpoint: Checkpoint) -> Diagnosis:
    """Measure a model on held-out data, and if its task can be simulated, its costs and its failures, too.

    Raises:
      ValueError: the data do not fit the model, or are too short for the planner's horizon.
    """
    model, robot = checkpoint.model, robot_of(checkpoint, "control_period")
    task = None if cfg.task.name == CUSTOM else goal_tasks.of_model(checkpoint)
    agent = None if task is None else build.agent(cfg, model, task)
    held = _held_out(cfg, task, checkpoint)
    found = Diagnosis(str(robot["task"]), held.source, model.action_block, float(robot["control_period"]))
    if isinstance(task, PlanarView):
        found.scene = task.scene()
    _representation(found, model, held, task, build.planner(cfg) if agent is None else agent.planner, int(cfg.seed))
    scripted = isinstance(task, HasScript)
    if task is not None and scripted:
        found.reach = of_script(model, task, DRIVES, int(cfg.seed))
    else:
        found.reach = of_data(model, held.data)
    _distances(found, found.reach)
    if task is not None and agent is not None:
        _costs(found, task, agent, int(cfg.seed))
        if int(cfg.episodes) > 0:
            _episodes(found, cfg, task, agent)
    return found


def _held_out(cfg: DictConfig, task: envs.Task | None, checkpoint: Checkpoint) -> HeldOut:
    if cfg.data is None:
        if task is None:
            raise ValueError("task=custom has no simulator to make held-out data with: add data=FOLDER of some")
        behaviour, collection = build.make(cfg.behaviour, "behaviour"), cfg.collection
        return fresh(task, behaviour, int(cfg.held_out), int(collection.steps), int(cfg.seed))
    data = load_for_model(checkpoint, cfg.data)
    if task is not None:
        check_task(data, cfg.task.name, cfg.data)
    check_data(data, robot_of(checkpoint), cfg.data, owner="the model")
    held = end_of(data, cfg.data, task, int(cfg.held_out))
    check_range(held.data, cfg.data)
    check_moves(held.data, cfg.data)
    return held


def _representation(
    found: Diagnosis,
    model: FrozenModel,
    held: HeldOut,
    task: envs.Task | None,
    planner: Planner[Any],
    seed: int,
) -> None:
    """Measure collapse, foresight, and the linear probes of the latents."""
    states = held.data.states
    # For positions only: other quantities have different units, so that their error has no length.
    targets = states if task is None or states is None else None
    if isinstance(task, PlanarView) and states is not None:
        targets = probe_targets(task, states)
    blocks = max(2, planner.horizon // model.action_block)
    history, older = model.config.history, model.config.older
    sampler = WindowSampler.of(held.data, history, blocks, model.action_block, targets, older=older)
    key = jax.random.key(seed)
    found.values |= diagnose(model, sampler, jax.random.fold_in(key, 0))
    seen = found.foresight = foresight(model, sampler, jax.random.fold_in(key, 1))
    if seen.disagreement is not None:
        found.values["disagreement_order"] = spearman(seen.disagreement, seen.error)
    if seen.imagined is not None and seen.executed is not None and seen.imagined.shape == seen.executed.shape:
        missed, moved = seen.imagined[:, -1] - seen.executed[:, -1], seen.executed[:, -1] - seen.executed[:, 0]
        found.values["path_error"] = float(np.linalg.norm(missed) / max(float(np.linalg.norm(moved)), 1e-12))
    if held.targets and held.data.episodes > 1:
        _probes(found, model, sampler, held, seed)


def _probes(found: Diagnosis, model: FrozenModel, sampler: WindowSampler, held: HeldOut, seed: int) -> None:
    """Fit linear probes on latents; judge only quantities that the same probe finds in the sensors over a short time.

    A latent should contain the positions that its sensors show, and the velocities that follow from them: not the elbow
    of an arm if only its hand is visible.
    """
    order = np.random.default_rng(seed).permutation(held.data.rows)[:PROBED].astype(np.int32)
    rows, groups = jnp.asarray(order), held.data.first[order]
    targets = np.stack(list(held.targets.values()), axis=1)[order]
    watching = replace(sampler, history=max(sampler.history, WATCHED))
    sensed = np.concatenate(
        [np.asarray(values, np.float32).reshape(len(order), -1) for values in watching.stack(rows).values()], axis=1
    )
    latents = np.asarray(_encode(model, sampler.stack(rows)))
    shown = linear_probe(sensed, targets, groups)
    for name, score, by_sensors in zip(held.targets, linear_probe(latents, targets, groups), shown, strict=True):
        if np.isfinite(score):
            found.probes[name], found.sensed[name] = float(score), float(by_sensors)
    for kind in ("qpos", "qvel", "position", "state"):
        owed = [found.probes[name] for name in found.probes if kind in name and found.sensed[name] >= SHOWN]
        if owed:
            found.values[f"probe_{kind}"] = min(owed)


@jax.jit
def _encode(model: FrozenModel, stacks: dict[str, jax.Array]) -> jax.Array:
    return model.encode(model.params, model.embed(model.params, stacks))


def _distances(found: Diagnosis, reach: Reach) -> None:
    for name, distances in reach.distances.items():
        found.values[f"{name}_rank"] = spearman(distances, reach.steps)
        found.values[f"{name}_reach"] = reach.saturation(name) / reach.longest


def _costs(found: Diagnosis, task: envs.Task, agent: Agent, seed: int) -> None:
    if not isinstance(agent.planner, AskTell):
        logger.warning("%s plans with gradients only: no landscape and no oracle", type(agent.planner).__name__)
        return
    found.slices = slices(task, agent, honest(task, SITUATIONS, seed), seed)
    found.values["landscape_agreement"] = float(np.median([each.agreement for each in found.slices]))
    found.values["landscape_regret"] = float(np.mean([each.regret for each in found.slices]))


def _episodes(found: Diagnosis, cfg: DictConfig, task: envs.Task, agent: Agent) -> None:
    pairs, seed = honest(task, int(cfg.episodes), int(cfg.seed)), int(cfg.seed)
    with progress_bar(f"model on {cfg.task.name}", task.budget, compiles=True) as bar:
        records = run_episodes(task, ModelPolicy(agent, seed), pairs, bar, model=agent.model)
        bar(task.budget, task.budget)
    found.episodes, found.failed = len(records), sum(not record.success for record in records)
    if found.failed:
        with progress_bar("failures again, simulated", task.budget) as bar:
            found.failures = blame(task, agent, pairs, records, seed, int(cfg.simulated_episodes), bar)
