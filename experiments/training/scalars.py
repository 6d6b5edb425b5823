"""Names of the scalars of a goal model's training: what a call of the trainer found, for those who watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from worldmodel.training.trainer import Trainer


@final
class Scalars:
    """Scalars of the compiled calls, in order.

    Args:
      trainer: of the model.
      update: number of updates before the first call.
      seconds: of training before it.
    """

    def __init__(self, trainer: Trainer, update: int, seconds: float):
        self._trainer, self._update, self._seconds = trainer, update, seconds

    def of(
        self,
        update: int,
        seconds: float,
        metrics: Mapping[str, float],
        health: Mapping[str, float],
        decided: Mapping[str, Any],
    ) -> dict[str, float]:
        """Scalars of one call, grouped by the stage, `health`, `early_stop` and `time`.

        Args:
          update: number of updates after it.
          seconds: of training after it.
          metrics: of the stage's losses.
          health: of the representation, if it was measured.
          decided: `early_stop`, the checks of early stopping, oldest first; empty where it is off.
        """
        stage = self._trainer.stage(update - 1)
        found = {f"{stage}/{name}": value for name, value in metrics.items()}
        found |= {f"health/{name}": value for name, value in health.items()}
        for check in decided.get("early_stop", [])[-1:]:
            if check["update"] == update:
                found["early_stop/success_rate"] = check["successes"] / check["episodes"]
        passed = seconds - self._seconds
        found["time/seconds"] = seconds
        if passed > 0:
            found["time/updates_per_second"] = (update - self._update) / passed
        self._update, self._seconds = update, seconds
        return found
