"""Rate of collection beside that of plain physics steps, and of drawing pictures."""

from __future__ import annotations

import threading
import time

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .behaviours import ColouredNoise, OpenLoop
from .mujoco_task import MujocoTask
from .streams import episode_rng


def benchmark_collection(
    task: MujocoTask, behaviour: OpenLoop | None = None, *, episodes: int = 256, steps: int = 200, rounds: int = 3
) -> dict[str, float]:
    """Rate of open-loop collection, and the raw `mj_step` rate of the same model and threads, measured in the same run.

    Collection is everything except disk writes: starts, actions, physics, observations. The raw rate steps states and
    controls from the collection, 25 physics steps a call so that Python costs little, stores nothing, and clips no
    velocity. The two alternate, so that a busy machine slows both.

    Args:
      task: on MuJoCo.
      behaviour: the policy; None: coloured noise.
      episodes: per round.
      steps: environment steps of each.
      rounds: of both, whose times are added.

    Returns: `collection` and `raw` in physics steps a second, their `ratio`, `env_steps` a second, and `threads`.
    """
    behaviour = behaviour or ColouredNoise()
    threads, substeps = task.physics.threads, task.physics.substeps
    task.simulate(
        task.state[None].repeat(threads, axis=0), np.zeros((threads, 1, task.physics.action_size))
    )  # starts the threads
    collecting, stepping = 0.0, 0.0
    for i in range(rounds):
        began = time.perf_counter()
        rngs = [episode_rng(i, "validate", episode) for episode in range(episodes)]
        start = np.stack([task.sample_state(rng) for rng in rngs])
        states, actions = behaviour.rollout(task, start, rngs, steps)
        task.observe(states)
        collecting += time.perf_counter() - began
        stepping += _raw_seconds(task, states[:, :-1].reshape(-1, states.shape[-1]), np.concatenate(actions))
    done = float(rounds * episodes * steps * substeps)
    return {
        "collection": done / collecting,
        "raw": done / stepping,
        "ratio": stepping / collecting,
        "env_steps": done / substeps / collecting,
        "threads": float(threads),
    }


def benchmark_frames(task: MujocoTask, *, episodes: int = 100, steps: int = 200, rounds: int = 3) -> float:
    """Rate of drawing what the cameras of a task see, in pictures a second: rendering, and handing them over.

    Processes and OpenGL contexts have started before the clock does, as after the first part of a collection.

    Args:
      task: on MuJoCo, observed by pictures; those of coloured noise are drawn.
      episodes: per round.
      steps: environment steps of each.
      rounds: of the same states, whose times are added.

    Raises:
      ValueError: the task is not observed by pictures.
    """
    cameras = sum(len(sensor.shape) > 1 for sensor in task.sensors)
    if not cameras:
        raise ValueError(f"{task.name} is observed without pictures: choose observation=pixels to draw any")
    rngs = [episode_rng(0, "validate", episode) for episode in range(episodes)]
    start = np.stack([task.sample_state(rng) for rng in rngs])
    states, _ = ColouredNoise().rollout(task, start, rngs, steps)
    flat = states.reshape(-1, states.shape[-1])
    task.observe(flat)
    began = time.perf_counter()
    for _ in range(rounds):
        task.observe(flat)
    return rounds * len(flat) * cameras / (time.perf_counter() - began)


def _raw_seconds(task: MujocoTask, states: Float[ndarray, "M S"], actions: Float[ndarray, "M A"]) -> float:
    """Wall time of the same number of plain physics steps as in these states, shared among the threads."""
    import mujoco

    threads, block, spec = task.physics.threads, 25, int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
    calls = len(states) * task.physics.substeps // (block * threads)
    chosen = np.random.default_rng(0).integers(len(states), size=(threads, calls))
    data = [mujoco.MjData(task.model) for _ in range(threads)]

    def work(k: int) -> None:
        for i in chosen[k]:
            mujoco.mj_setState(task.model, data[k], states[i], spec)
            task.physics.command(data[k], actions[i])
            mujoco.mj_step(task.model, data[k], nstep=block)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - began) * len(states) * task.physics.substeps / (calls * block * threads)
