"""Success with goals that specify only some sensors, for three ways to state them.

`rest`: the whole observation at rest at the goal. `encoder`: the model's representation of the given sensors, the
others NaN. `probe`: the distance of the decoded values. Each on the same starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy import ndarray
from omegaconf import DictConfig

import envs
from planning import Agent, ProbeDistance
from planning.control import Controller
from worldmodel.models.checkpoint import load_model

from ... import build
from ...build.published import checkpoint_file
from ...evaluation.goals.protocols import Pairs, honest
from ...records.intervals import wilson
from ...records.manifest import manifest
from ...records.results import Value, append_values
from ...shell.progress import progress_bar
from ...training.prepared import probe_targets

logger = logging.getLogger(__name__)

NAN = float("nan")


@dataclass(frozen=True)
class Part:
    """A part of a task's goals: its sensors, its probe components, and the test of success."""

    sensors: tuple[int, ...]
    probed: tuple[int, ...]  # components of the probe for the same quantities
    reached: Callable[[envs.Task, ndarray, ndarray], Any]  # task, state, goal


def _place(task: Any, state: ndarray, goal: ndarray) -> bool:
    return bool(np.linalg.norm(task.achieved_goal(state) - goal) <= task.tolerance)


def _first(task: Any, state: ndarray, goal: ndarray) -> bool:
    return bool(abs(task.achieved_goal(state)[0] - goal[0]) <= task.tolerance)


def _joints(task: Any, state: ndarray, goal: ndarray) -> bool:
    return bool(task.success(state, goal))


def _shoulder(task: Any, state: ndarray, goal: ndarray) -> bool:
    apart = task.achieved_goal(state)[0] - goal[0]
    return bool(abs(np.angle(np.exp(1j * apart))) <= task.tolerance)


# Sensors: x, y and their speeds; of the reacher, the sines and cosines of both joints, and their speeds.
PARTS = {
    ("two_room", "place"): Part((0, 1), (0, 1), _place),
    ("two_room", "x"): Part((0,), (0,), _first),
    ("umaze", "place"): Part((0, 1), (0, 1), _place),
    ("umaze", "x"): Part((0,), (0,), _first),
    ("reacher", "joints"): Part((0, 1, 2, 3), (0, 1, 2, 3), _joints),
    ("reacher", "shoulder"): Part((0, 2), (0, 1), _shoulder),
}


def run(cfg: DictConfig) -> dict[str, float]:
    """Success by case; rows `partial_goal_<task>_<part>_<way>` where `cfg.results` is a folder.

    Raises:
      ValueError: a task has no parts here, or no checkpoint.
    """
    values, found = [], {}
    for name, checkpoint in cfg.suite.checkpoints.items():
        task = envs.make(str(name))
        model = load_model(checkpoint_file(checkpoint, task.name)).model
        agent = build.agent(build.compose("plan", f"task={task.name}", *cfg.suite.overrides), model, task)
        for (of, part), what in PARTS.items():
            if of != task.name:
                continue
            pairs = unsolved(task, what, honest(task, int(cfg.suite.episodes), int(cfg.seed)))
            for way in ("rest", "encoder", "probe"):
                case = f"partial_goal_{task.name}_{part}_{way}"
                reached = measure(task, agent, pairs, what, way, int(cfg.seed), case)
                low, high = wilson(sum(reached), len(reached))
                logger.info("%s %.1f %% (%.1f to %.1f)", case, 100 * np.mean(reached), 100 * low, 100 * high)
                found[case] = 100 * float(np.mean(reached))
                values.append(Value(case, found[case], "%"))
    if cfg.results:
        append_values(Path(cfg.results) / "partial_goals.csv", values, manifest(cfg, [int(cfg.seed)]))
    return found


def measure(task: Any, agent: Agent, pairs: Pairs, part: Part, way: str, seed: int, name: str) -> list[bool]:
    """Whether each episode reaches that part of its goal within the task's budget."""
    targets = probe_targets(task, np.stack([resting(task, goal) for goal in pairs.goals]))
    assert targets is not None  # of a task with a view from above
    if way == "probe":
        agent = _probing(agent, targets[0], part)
    controller = Controller(agent)
    controller.warmup()
    reached = []
    with progress_bar(name, len(pairs), compiles=True) as bar:
        for index, (state, goal) in enumerate(zip(pairs.states, pairs.goals, strict=True)):
            whole = task.goal_observation(goal)
            if way == "probe":
                controller.agent = _probing(agent, targets[index], part)
            given = _masked(whole, part.sensors) if way == "encoder" else whole
            controller.reset(goal=given, seed=seed + index)
            reached.append(_drive(task, controller, state, goal, part))
            bar(index + 1, len(pairs))
    return reached


def _drive(task: Any, controller: Controller, state: ndarray, goal: ndarray, part: Part) -> bool:
    for _ in range(task.budget):
        action = controller.act(task.observe(state)).astype(np.float64)
        state = task.simulate(state[None], action[None, None])[0, 0]
        if part.reached(task, state, goal):
            return True
    return False


def _probing(agent: Agent, target: ndarray, part: Part) -> Agent:
    cost = ProbeDistance(jnp.asarray(_masked(target, part.probed)))
    return replace(agent, costs={"probe": cost}, weights={"probe": 1.0})


def _masked(values: ndarray, given: tuple[int, ...]) -> ndarray:
    """The values at the indices `given`, NaN for the others."""
    masked = np.full(values.shape, NAN, np.float32)
    masked[list(given)] = values[list(given)]
    return masked


def resting(task: Any, goal: ndarray) -> ndarray:
    """A state at rest at a goal."""
    return task.pack(goal[None], np.zeros((1, task.model.nv)))[0]


def unsolved(task: Any, part: Part, pairs: Pairs) -> Pairs:
    """The pairs whose start does not already reach that part of the goal."""
    unsolved_at_start = [
        not part.reached(task, state, goal) for state, goal in zip(pairs.states, pairs.goals, strict=True)
    ]
    return replace(pairs, states=pairs.states[unsolved_at_start], goals=pairs.goals[unsolved_at_start])
