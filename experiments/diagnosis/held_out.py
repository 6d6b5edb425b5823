"""Held-out data to test a model: new episodes of its task in memory, or the end of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

import envs
from envs.behaviours import Behaviour
from envs.mujoco_task import MujocoTask
from envs.sensors import at
from envs.streams import episode_rng
from worldmodel.data.episodes import EpisodeData

from ..evaluation.moments import spec_of

STREAM = "validate"  # random stream that no training and no evaluation uses


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out episodes, their origin as text, and the targets of linear probes on their latents."""

    data: EpisodeData
    source: str
    targets: dict[str, Float[ndarray, "M"]]  # by name, as `qpos[0]`; empty where the data have no states


def fresh(task: envs.Task, behaviour: Behaviour, episodes: int, steps: int, seed: int) -> HeldOut:
    """Roll out new episodes; episode i depends on `seed` and i alone."""
    rngs = [episode_rng(seed, STREAM, i) for i in range(episodes)]
    states, actions = behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)
    bounds = (task.action_space.low, task.action_space.high)
    sensed = task.sense(states, rngs)
    observations = [at(sensed, index) for index in range(episodes)]
    data = EpisodeData.of(observations, actions, bounds, states=states, spec=spec_of(task))
    return HeldOut(data, f"{episodes} fresh episodes of {steps} steps", _targets(task, data))


def end_of(whole: EpisodeData, path: str | Path, task: envs.Task | None, episodes: int) -> HeldOut:
    """The last episodes of a dataset; `task` is None for a robot's own logs, whose positions are used unchanged."""
    data = whole.last_episodes(episodes)
    source = f"the last {data.episodes} of {whole.episodes} episodes in {path}"
    return HeldOut(data, source, _targets(task, data))


def _targets(task: envs.Task | None, data: EpisodeData) -> dict[str, ndarray]:
    """Probe targets: position and velocity of every degree of freedom; an unlimited angle as its sine and cosine."""
    states = data.states
    if states is None:
        return {}
    if not isinstance(task, MujocoTask):
        return {f"{'position' if task is None else 'state'}[{i}]": column for i, column in enumerate(states.T)}
    import mujoco  # imported here: judging a robot's own logs needs no simulator

    model = task.model
    turning = {
        int(model.jnt_qposadr[joint])
        for joint in range(model.njnt)
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE and not model.jnt_limited[joint]
    }
    found: dict[str, ndarray] = {}
    for i, column in enumerate(task.qpos(states).T):
        parts = {f"sin qpos[{i}]": np.sin(column), f"cos qpos[{i}]": np.cos(column)}
        found |= parts if i in turning else {f"qpos[{i}]": column}
    return found | {f"qvel[{i}]": column for i, column in enumerate(task.qvel(states).T)}
