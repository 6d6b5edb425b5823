"""Composed settings for tests: the smoke budget with the smallest model, in a folder of the test's."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.build import compose

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
