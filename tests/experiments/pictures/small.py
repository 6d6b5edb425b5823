"""A model of pictures that has learned nothing, with its memory: it plans all the same, and nothing is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import envs
from experiments.build.sensor_ranges import sensor_range
from experiments.pictures.memory import Memory, memory_file
from worldmodel.data.episodes import EpisodeData
from worldmodel.models.checkpoint import save_model
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import sized
from worldmodel.observation import ObservationSpec

SIZE = 32


def seen_task(name="two_room", size=SIZE, sensors=("pixels",)):
    task = envs.make(name)
    task.see(list(sensors), size)
    return task


def wandering(task, episodes=6, steps=24):
    """Data of uniform actions, with pictures."""
    rng = np.random.default_rng(0)
    starts = np.stack([task.sample_state(rng) for _ in range(episodes)])
    actions = rng.uniform(-1, 1, (episodes, steps, task.action_space.shape[0])).astype(np.float32)
    states = np.concatenate([starts[:, None], task.simulate(starts, actions.astype(np.float64))], axis=1)
    seen = task.observe(states)
    bounds = (task.action_space.low, task.action_space.high)
    observations = [{name: each[index] for name, each in seen.items()} for index in range(episodes)]
    return EpisodeData.of(observations, list(actions), bounds, spec=ObservationSpec.of(task.sensors))


def small_model(task, data, latent_size=8):
    config = ModelConfig(
        observation=sized(data.spec, "components", 16),
        action_size=task.action_space.shape[0],
        probe_size=2,
        history=3,
        action_block=3,
        latent_size=latent_size,
        width=16,
        head_width=8,
        train_blocks=3,
        ensemble=1,
    )
    model = create(config, 0)
    model.fit_scales(data.readings, data.last, data.actions, data.action_low, data.action_high)
    return freeze(model, config)


def save_small(folder: Path) -> Path:
    """Write such a model of two_room and its memory; return its path."""
    task = seen_task()
    data = wandering(task)
    model, path = small_model(task, data), folder / "two_room-pixels.safetensors"
    Memory.of(model, data).save(memory_file(path))
    save_model(path, model, metadata={"task": task.describe(), **sensor_range(data.observations, data.vector_spec)})
    task.close()
    return path
