"""A tiny model for rewards on disk, as `jepa-mpc train method=td` writes one; nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from omegaconf import OmegaConf

from envs.registry import make_reward_task
from experiments.build import compose
from worldmodel.models.checkpoint import save_reward_model
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import vector

PLANNER = ("planner.num_samples=8", "planner.num_elites=2", "planner.iterations=1", "planner.horizon=2")


def save_random_reward_model(path: Path, task: str = "gym/Pendulum-v1", action_repeat: int = 4) -> Path:
    """A random model, which says that it learned on `task` with the planner of `PLANNER`."""
    words = (*PLANNER, "online.suggestions=2", f"online.action_repeat={action_repeat}", "online.evaluate_episodes=3")
    cfg: Any = OmegaConf.to_container(compose("train", "method=td", "task=reward", f"task.name={task}", *words))
    made = make_reward_task(task, action_repeat)
    config = RewardModelConfig(
        vector(made.observation_size), made.action_size, representation_size=8, width=8, encoder_width=8,
        critic_width=8, policy_width=8, depth=1,
    )  # fmt: skip
    model = config.create(0)
    model.scale.fit(made.low, made.high)
    settings = {name: cfg[name] for name in ("task", "planner", "online", "seed")}
    known = {"task": task, "settings": settings, "env_steps": 1000, "discount": 0.9, "train_seconds": 12.0}
    # Heads begin at zero, where every action would be worth the same.
    rng = np.random.default_rng(1)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model))]
    noisy = [leaf + rng.normal(0, 0.3, leaf.shape).astype(np.float32) if leaf.ndim == 2 else leaf for leaf in leaves]
    save_reward_model(path, tuple(jnp.asarray(leaf) for leaf in noisy), config, known)
    return path
