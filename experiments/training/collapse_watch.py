"""Health of a representation during its training, and a warning when it collapses, early enough to intervene."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import jax

from worldmodel.diagnostics.health import spread
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig
from worldmodel.training.trainer import Trainer, TrainState

from .health import collapse

logger = logging.getLogger(__name__)

HORIZON = "horizon_ratio"
CHECKS = 10  # in one training run; each encodes a few hundred moments


class CollapseWatch:
    """Callback after compiled training calls: checks every few calls, and warns once of a collapse."""

    def __init__(self, config: ModelConfig, trainer: Trainer):
        training = trainer.config
        self._every = max(1, training.updates // training.updates_per_call // CHECKS) * training.updates_per_call
        self._config = config
        self._trainer = trainer
        self._warned = False

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Measure the spread of the latents if a check is due, and warn if they have collapsed; else return {}."""
        update = int(state.update)
        if update % self._every or update > self._trainer.config.updates:  # later stages: no encoder
            return {}
        values = self._spread(state)
        found = collapse(values)
        if found is not None and not self._warned:
            self._warned = True
            logger.warning("the representation has collapsed at update %d: %s", update, found)
        return values

    def final(self, state: TrainState, history: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Measure the spread at the end, and add the last horizon error of the losses in `history`."""
        last = next((entry for entry in reversed(history) if HORIZON in entry), {})
        return {name: last[name] for name in (HORIZON,) if name in last} | self._spread(state)

    def _spread(self, state: TrainState) -> dict[str, float]:
        model = freeze(self._trainer.model(state), self._config)
        return spread(model, self._trainer.sampler, jax.random.key(int(state.update)))
