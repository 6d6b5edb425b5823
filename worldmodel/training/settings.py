"""Settings of a training run, and the protocol of its objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .updates import Stage

_LATER = tuple(f"{name}_updates" for name in ("frozen", "critic", "policy", "leap", "belief", "doubt"))


@dataclass(frozen=True)
class TrainingConfig:
    """Number and rate of updates. Learning rate: linear warm-up over 5 % of the updates, then cosine decay to 1 %."""

    updates: int = 2500  # of the representation, together with prediction, inverse dynamics and critic
    frozen_updates: int = 1000  # of further ensemble members and partial goals, on a finished encoder
    critic_updates: int = 6000  # further updates of the critic alone, on finished representations and predictions
    policy_updates: int = 2000  # of the policy, on a world model that is finished
    leap_updates: int = 2000  # of the slower dynamics, where the model has them
    belief_updates: int = 3000  # of the belief, where the model has one
    doubt_updates: int = 500  # of how far a finished belief expects to be off
    filling_updates: int = 2000  # of the head that fills in missing sensors, where the model has it
    batch: int = 256  # windows per update
    critic_batch: int = 64  # of the critic; in the first stage, that many of the others' windows
    policy_batch: int = 64
    belief_batch: int = 32  # sequences per update of the belief
    belief_moments: int = 32  # consecutive moments of each
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    updates_per_call: int = 100
    contact_share: float = 0.0  # of a batch, drawn from windows in which something is touched; 0: none is sought
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "critic_batch", "policy_batch", "belief_batch", "updates_per_call"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1; got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"training.learning_rate must be positive; got {self.learning_rate}")
        if not 0 <= self.contact_share < 1:
            raise ValueError(f"training.contact_share must be a share of the windows below 1; got {self.contact_share}")
        if self.belief_moments < 4:
            raise ValueError(f"training.belief_moments must be at least 4; got {self.belief_moments}")
        for name in (*_LATER, "filling_updates"):
            if getattr(self, name) < 0:
                raise ValueError(f"training.{name} must be at least 0; got {getattr(self, name)}")
        for name in ("updates", *_LATER):
            if getattr(self, name) % self.updates_per_call:
                raise ValueError(
                    f"training.{name} must be a multiple of updates_per_call; "
                    f"got {getattr(self, name)} and {self.updates_per_call}"
                )

    @property
    def batches(self) -> dict[str, int]:
        """Windows per update by the name of the setting."""
        return {
            f"training.{name}": getattr(self, name)
            for name in ("batch", "critic_batch", "policy_batch", "belief_batch")
        }


@runtime_checkable
class Objective(Protocol):
    """Objective of a `Trainer`: the configuration of its losses, which defines the stages."""

    @property
    def followed(self) -> str:
        """Name of the module whose target is a slowly following copy."""
        ...

    @property
    def target_rate(self) -> float:
        """Rate at which the target follows, per update."""
        ...

    def stages(self, model: Any, training: TrainingConfig) -> tuple[Stage, ...]:
        """Return the stages in their order.

        Raises:
          ValueError: the model or the training does not fit the objective.
        """
        ...
