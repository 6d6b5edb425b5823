"""Composed settings for tests: the smoke budget with the smallest model, in a folder of the test's."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

import envs
from experiments.build import compose, recipes
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

TINY = (
    "budget=smoke",
    "model.latent_size=8",
    "model.width=32",
    "model.head_width=16",
    "model.train_blocks=3",
    "planner.horizon=9",
    "planner.num_samples=32",
    "planner.num_elites=8",
    "planner.iterations=2",
)


def settings(command: str, runs: Path, *overrides: str) -> DictConfig:
    """What `jepa-mpc COMMAND runs=RUNS …` composes, tiny."""
    return compose(command, *TINY, f"runs='{runs}'", *overrides)


def save_random_models(runs: Path, *seeds: int) -> None:
    """Tiny random models of two_room in the folder `runs`, which pass for the recipe's: nothing is trained."""
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8)
    cfg = compose("plan", "task=two_room")
    for seed in seeds:
        metadata = {"recipe": recipes.recipe(cfg, seed), "task": envs.make("two_room").describe()}
        save_model(runs / f"two_room-seed{seed}.safetensors", create(config, seed), config, metadata)
