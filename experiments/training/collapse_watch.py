"""Warning during training when the representation collapses, early enough to intervene."""

from __future__ import annotations

import logging

import jax

from worldmodel.diagnostics.health import spread
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig
from worldmodel.training.trainer import Trainer, TrainState

from .health import collapse

logger = logging.getLogger(__name__)

CHECKS = 10  # in one training run; each encodes a few hundred moments


class CollapseWatch:
    """Callback after compiled training calls: checks every few calls, and warns once."""

    def __init__(self, config: ModelConfig, trainer: Trainer):
        training = trainer.config
        self._every = max(1, training.updates // training.updates_per_call // CHECKS) * training.updates_per_call
        self._config = config
        self._trainer = trainer
        self._warned = False

    def __call__(self, state: TrainState) -> None:
        """Measure the spread of the latents if a check is due, and warn if they have collapsed."""
        update = int(state.update)
        if self._warned or update % self._every or update > self._trainer.config.updates:  # later stages: no encoder
            return
        model = freeze(self._trainer.model(state), self._config)
        found = collapse(spread(model, self._trainer.sampler, jax.random.key(update)))
        if found is not None:
            self._warned = True
            logger.warning("the representation has collapsed at update %d: %s", update, found)
