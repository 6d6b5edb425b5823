"""Fit a model to episodes in one call: normalization, training, and the functions that a planner calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..data.episodes import EpisodeData
from ..devices import ONE, Devices
from ..models.freeze import FrozenModel, freeze
from ..models.goal_model import ModelConfig
from ..observation import ObservationSpec
from .encoded import encoded
from .filling import learn_filling
from .jepa import JepaConfig
from .landmarks import check_landmarks, learn_landmarks
from .settings import Objective, TrainingConfig
from .trainer import Trainer, TrainState
from .video import VideoConfig

_LATENT_ACTION = 4  # numbers in a latent action for each component of an action, unless the config says otherwise
Progress = Callable[[int, int, dict[str, float]], None]  # updates made, updates in all, metrics


def fit(
    data: EpisodeData,
    config: ModelConfig | None = None,
    objective: Objective | None = None,
    training: TrainingConfig | None = None,
    *,
    probe_targets: Float[ndarray, "M Q"] | None = None,
    contact: Bool[ndarray, "M"] | None = None,
    start: FrozenModel | None = None,
    devices: Devices = ONE,
    on_progress: Progress | None = None,
) -> FrozenModel:
    """Train a goal-reaching model; equal arguments give equal weights on the same machine.

    It runs to the end in memory. To stop, resume or keep a training state on disk, take a `Trainer` and
    `models.checkpoint.save_training`, or `jepa-mpc train`.

    Args:
      data: the episodes, raw: scales and bounds are taken from them.
      config: the architecture; None: the default one for the sensors and actions of the data.
      objective: the losses; None: `JepaConfig()`. `VideoConfig()` learns from actions that are NaN, too.
      training: how long and how fast; None: `TrainingConfig()`, which takes minutes on two cores.
      probe_targets: positions that the probe learns to decode, one row for each of the data, for display and guards.
      contact: whether something is touched in each row of the data, for `training.contact_share`.
      start: a model of the same architecture to learn on from, with its scales.
      devices: that share each batch: `Devices.of()` for all that there are.
      on_progress: called every `training.updates_per_call` updates.

    Returns:
      The model with its weights: it satisfies `planning.LatentModel`, and `config` is its architecture.

    Raises:
      ValueError: a value that is not finite, unbounded actions, an architecture for other sensors or actions, or no
        episode long enough for a window, more landmarks than moments, or batches that the devices cannot share evenly.
      FloatingPointError: the loss is no longer finite.
    """
    unlabelled = isinstance(objective, VideoConfig)
    _check_finite(data, unlabelled)
    probe_size = 0 if probe_targets is None else probe_targets.shape[1]
    if config is None:
        sizes = {"action_size": data.actions.shape[1], "latent_action": _LATENT_ACTION if unlabelled else 0}
        config = ModelConfig(observation=data.spec, probe_size=probe_size, **sizes)
    _check_sizes(config, data, probe_size)
    check_landmarks(config, data.rows)
    settings = objective or JepaConfig(), training or TrainingConfig()
    trainer = Trainer.of(data, config, *settings, probe_targets, contact, start, devices)

    def report(state: TrainState, metrics: dict[str, float]) -> None:
        if on_progress is not None:
            on_progress(int(state.update), trainer.total, metrics)

    state = trainer.train(trainer.init(), report)
    model = trainer.model(state)
    if model.filling is not None or model.landmarks is not None:
        moments = encoded(trainer.sampler, model)
        learn_filling(model, moments, trainer.config)
        learn_landmarks(model, moments, moments.places, trainer.config.seed)
    return freeze(model, config)


def _check_finite(data: EpisodeData, unlabelled: bool) -> None:
    """Raise ValueError where a value is missing that the objective needs."""
    if not (np.isfinite(data.action_low).all() and np.isfinite(data.action_high).all()):
        raise ValueError("the actions have no finite bounds: give EpisodeData.of those of the actuators")
    named = {**{f"the sensor {name}": values for name, values in data.readings.items()}, "the actions": data.actions}
    for noun, values in named.items():
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if noun == "the actions" and unlabelled:
            finite |= ~data.labelled
        if not finite.all():
            row = int(np.argmin(finite))
            episode = int(np.searchsorted(np.unique(data.first), row, side="right")) - 1
            raise ValueError(
                f"{data.name(episode)} has a value that is not finite in {noun} at step {row - data.first[row]}: leave "
                "the episode out, or cut it there"
                + ("; VideoConfig() learns without actions" if noun == "the actions" else "")
            )


def _check_sizes(config: ModelConfig, data: EpisodeData, probe_size: int) -> None:
    if config.observation != data.spec:
        raise ValueError(
            f"the config is for the sensors {_words(config.observation)}, and the data have {_words(data.spec)}: give "
            "ModelConfig(observation=data.spec, ...)"
        )
    for name, value in {"action_size": data.actions.shape[1], "probe_size": probe_size}.items():
        if getattr(config, name) != value:
            raise ValueError(f"the config has {name}={getattr(config, name)}, and the data need {name}={value}")


def _words(spec: ObservationSpec) -> str:
    """Describe the sensors in a few words, including the fields that may differ."""
    return ", ".join(
        f"{each.name} {each.dtype}{list(each.shape)}{' optional' * each.optional}"
        f"{f' period {[*each.period]}' if each.period else ''}{f' symmetry {each.symmetry}' * (each.symmetry > 1)}"
        for each in spec.sensors
    )
