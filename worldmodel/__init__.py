"""Learn a representation and its dynamics: encoder, predictor and heads, their losses, and training.

Names are imported on first use: `worldmodel.files` and the tables must load without JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.dataset import load
    from .data.episodes import EpisodeData
    from .data.lerobot.convert import to_lerobot
    from .devices import Devices
    from .models.checkpoint import (
        Checkpoint,
        RewardCheckpoint,
        load_model,
        load_reward_model,
        save_model,
        save_reward_model,
    )
    from .models.freeze import FrozenModel, FrozenRewardModel, freeze, freeze_reward_model
    from .models.goal_model import ModelConfig, WorldModel, create
    from .models.reward_model import RewardModel, RewardModelConfig
    from .observation import ObservationSpec, Sensor, vector
    from .training.fit import fit
    from .training.jepa import JepaConfig
    from .training.settings import TrainingConfig
    from .training.trainer import Trainer
    from .training.video import VideoConfig

__version__ = "0.1.0"

_MODULES = {
    ".data.dataset": "load",
    ".data.episodes": "EpisodeData",
    ".data.lerobot.convert": "to_lerobot",
    ".devices": "Devices",
    ".models.checkpoint": "Checkpoint RewardCheckpoint load_model load_reward_model save_model save_reward_model",
    ".models.freeze": "FrozenModel FrozenRewardModel freeze freeze_reward_model",
    ".models.goal_model": "ModelConfig WorldModel create",
    ".models.reward_model": "RewardModel RewardModelConfig",
    ".observation": "ObservationSpec Sensor vector",
    ".training.fit": "fit",
    ".training.jepa": "JepaConfig",
    ".training.settings": "TrainingConfig",
    ".training.trainer": "Trainer",
    ".training.video": "VideoConfig",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "Checkpoint",
    "Devices",
    "EpisodeData",
    "FrozenModel",
    "FrozenRewardModel",
    "JepaConfig",
    "ModelConfig",
    "ObservationSpec",
    "RewardCheckpoint",
    "RewardModel",
    "RewardModelConfig",
    "Sensor",
    "Trainer",
    "TrainingConfig",
    "VideoConfig",
    "WorldModel",
    "create",
    "fit",
    "freeze",
    "freeze_reward_model",
    "load",
    "load_model",
    "load_reward_model",
    "save_model",
    "save_reward_model",
    "to_lerobot",
    "vector",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
