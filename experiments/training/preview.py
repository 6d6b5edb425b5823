"""A model in the middle of its training, for those who wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worldmodel.models.freeze import FrozenModel
from worldmodel.training.trainer import Trainer


@dataclass(frozen=True)
class Unfinished:
    """A model that can plan and is still being trained. Its weights are valid only while the callback runs."""

    model: FrozenModel
    update: int  # number of updates so far
    total: int  # of all stages
    seconds: float  # of training so far
    history: Sequence[dict[str, float]]


@dataclass(frozen=True)
class Preview:
    """Callback that sees the model once during training, as soon as it can plan; it changes nothing in the training.

    While the encoder learns, the critic cannot be used: `after` counts the updates from there.
    """

    after: int
    show: Callable[[Unfinished], None]

    def due(self, trainer: Trainer, update: int) -> bool:
        """Whether the model is to be shown after `update` updates, or has been due since an earlier one."""
        joint = trainer.stages.get("joint", range(0))
        return update >= min(joint.stop + self.after, trainer.total)
