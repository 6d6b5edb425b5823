"""`jepa-mpc train method=gcbc`: goal-conditioned behaviour cloning on the recipe's dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from worldmodel.training.settings import TrainingConfig

from .. import build
from ..baselines import gcbc, weights
from ..build.recipes import Paths, named, recipe
from ..shell.say import say
from .ensure import ensure_data, require_trainable
from .given_data import load_given, with_labels

UPDATES = ("updates", "frozen_updates", "critic_updates", "policy_updates")  # of the world model's stages
TRAINING = tuple(
    f"training.{name}" for name in (*UPDATES, "batch", "learning_rate", "weight_decay", "clip_norm", "updates_per_call")
)  # settings shared with the world model; the network gets the updates of all stages


def run(cfg: DictConfig) -> Path:
    """Train unless the file of this recipe exists; return its path.

    Raises:
      ValueError: a task without goals, or a file of another recipe.
    """
    require_trainable(cfg)
    seed, network = int(cfg.seed), dict(cfg.gcbc)
    path = Path(cfg.out) if cfg.out else cloner_file(cfg, seed)
    if path.exists():
        weights.read(path, cloning_recipe(cfg, seed, network))
        say(f"{path} was trained with this recipe already")
        return path
    train(cfg, seed, network, path)
    say(f"the network is in {path}; `jepa-mpc bench suite=goal` measures it beside the model")
    return path


def cloner_file(cfg: DictConfig, seed: int) -> Path:
    """Path of the network file, next to the recipe's model."""
    model = Paths.of(cfg, seed).model
    return model.with_name(f"{model.stem}-gcbc.safetensors")


def cloning_recipe(cfg: DictConfig, seed: int, network: dict[str, Any]) -> dict[str, Any]:
    """Recipe of the network as JSON: data, history, training and the shape of the network."""
    known = recipe(cfg, seed)
    data = {key: known[key] for key in known if key not in ("model", "objective", "training", "early_stop")}
    shared = {key: OmegaConf.select(cfg, key) for key in ("model.history", *TRAINING)}
    return {**data, **shared, "gcbc": {**network, **inputs(cfg)}}


def inputs(cfg: DictConfig) -> dict[str, Any]:
    """Encoders of pictures, and older moments: those of the world model; empty where it has none."""
    sensors, model = cfg.observation.sensors, cfg.model
    looks = sensors is not None and "pixels" in sensors
    eyes = {"pictures": model.pictures, "features": cfg.observation.features} if looks else {}
    return eyes | ({"memory": model.memory, "memory_stride": model.memory_stride} if model.memory else {})


def train(cfg: DictConfig, seed: int, network: dict[str, Any], path: Path) -> None:
    """Train on the recipe's data, collecting them if missing, and write the network to `path`."""
    updates = sum(int(cfg.training[name]) for name in UPDATES)
    training = build.fill(TrainingConfig, {**cfg.training, "updates": updates, "seed": seed}, "training")
    shape = build.fill(gcbc.GcbcConfig, {**network, **inputs(cfg)}, "gcbc")
    source = ensure_data(cfg, seed)
    data = with_labels(cfg, load_given(source), named(source), seed)
    gcbc.train_to_file(path, data, int(cfg.model.history), shape, training, cloning_recipe(cfg, seed, network))
