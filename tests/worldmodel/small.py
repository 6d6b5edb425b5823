"""Small data and models that the world model's tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from worldmodel.data.episodes import EpisodeData
from worldmodel.data.windows import WindowSampler
from worldmodel.devices import ONE, Devices
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import ObservationSpec, Sensor, vector
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer

SMALL = ModelConfig(
    observation=vector(4),
    action_size=2,
    probe_size=2,
    history=2,
    action_block=2,
    latent_size=8,
    width=32,
    head_width=16,
    depth=2,
    train_blocks=3,
    ensemble=2,
    policy=False,
)


def episodes(lengths: list[int], seed: int = 0) -> EpisodeData:
    """A point that is pushed about: position and velocity are seen, the push is the action."""
    rng = np.random.default_rng(seed)
    observations, actions = [], []
    for length in lengths:
        action = rng.uniform(-1, 1, (length + 1, 2))
        velocity = 0.3 * np.cumsum(action, axis=0)
        position = rng.uniform(-1, 1, 2) + 0.1 * np.cumsum(velocity, axis=0)
        action[-1] = 0
        observations.append(np.concatenate([position, velocity], axis=1))
        actions.append(action)
    rows = np.asarray(lengths) + 1
    ends = np.cumsum(rows)
    return EpisodeData(
        readings={"state": np.concatenate(observations).astype(np.float32)},
        actions=np.concatenate(actions).astype(np.float32),
        first=np.repeat(ends - rows, rows).astype(np.int32),
        last=np.repeat(ends - 1, rows).astype(np.int32),
        states=None,
        action_low=-np.ones(2, np.float32),
        action_high=np.ones(2, np.float32),
        metadata={},
        spec=vector(4),
    )


def trainer(updates: int = 40, seed: int = 0, devices: Devices = ONE, **changes: int) -> Trainer:
    """A training run of seconds; with `policy_updates`, of a model that has a policy."""
    stages = {"updates": updates, "frozen_updates": 10, "critic_updates": 0, "policy_updates": 0}
    config = TrainingConfig(
        **{
            **stages,
            "batch": 32,
            "critic_batch": 16,
            "policy_batch": 16,
            "updates_per_call": 10,
            "seed": seed,
            **changes,
        }
    )
    shape = replace(SMALL, policy=config.policy_updates > 0)
    data = episodes([30] * 12)
    model = create(shape, seed)
    model.encoder.normalizer.fit(data.observations)
    model.predictor.normalizer.fit(data.actions)
    sampler = WindowSampler.of(data, SMALL.history, SMALL.train_blocks, SMALL.action_block, data.observations[:, :2])
    return Trainer(model, sampler, JepaConfig(sigreg_projections=16), config, devices)


def pictured(lengths: list[int], seed: int = 0, size: int = 16) -> EpisodeData:
    """The pushed point as a picture, a bright square on noise that stays, and its velocity as proprioception."""
    seen = episodes(lengths, seed)
    state = seen.readings["state"]
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 50, (1, size, size, 3), np.uint8), len(state), axis=0)
    place = ((np.tanh(state[:, :2]) + 1) / 2 * (size - 3)).astype(int)
    for frame, (x, y) in zip(frames, place, strict=True):
        frame[y : y + 3, x : x + 3] = 200
    spec = ObservationSpec((Sensor("pixels", (size, size, 3), "uint8", interpolates=False), Sensor("proprio", (2,))))
    return replace(seen, readings={"proprio": state[:, 2:].copy(), "pixels": frames}, spec=spec)
