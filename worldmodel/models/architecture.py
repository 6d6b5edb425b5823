"""Hyperparameters that define a module's shape, as stored in the header of a model file."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..nets.encoders.memory import lags
from ..observation import ObservationSpec

A = TypeVar("A", bound="Architecture")

MOST = 1_000_000  # upper limit of any field that sizes an array
# Each is a separate module, and a thousand of them take minutes to build.
MOST_LAYERS = 16
MOST_MEMBERS = 32


@dataclass(frozen=True)
class Architecture(ABC):
    """Hashable, and equal where the modules are. Sizes come from the data or the environment, the rest is chosen."""

    observation: ObservationSpec
    action_size: int

    @property
    @abstractmethod
    def past(self) -> tuple[int, int, int]:
        """Moments of a latent: the last P, M older ones, and the environment steps between two of these."""

    @property
    def lags(self) -> tuple[int, ...]:
        """Environment steps from the newest moment of a latent back to each one, the oldest first, ending in 0."""
        return lags(*self.past)

    @property
    def older(self) -> tuple[int, ...]:
        """Those of `lags` that lie before the last P moments."""
        return self.lags[: self.past[1]]

    @property
    def reach(self) -> int:
        """Consecutive moments that a latent looks back over, the newest included."""
        return self.lags[0] + 1

    @abstractmethod
    def create(self, seed: int) -> Any:
        """Return a freshly initialised module."""

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """D, the size of a latent."""

    @property
    @abstractmethod
    def fewest_tensors(self) -> int:
        """Lower bound on the module's number of tensors, known before it is built."""

    @property
    def embedding_size(self) -> int:
        """E, the size of the embedding of one moment."""
        return self.observation.size

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in the format that `from_json` reads."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {"observation": self.observation.to_json()}

    @classmethod
    def from_json(cls: type[A], values: Any) -> A:
        """Read the output of `to_json`. Fields with a default may be missing: they may be newer than the file.

        Raises:
          ValueError: a field that is missing, unknown to this version, of another type, or out of range.
        """
        if not isinstance(values, dict):
            raise ValueError(f"the model configuration must be an object; got {type(values).__name__}")
        fields = dataclasses.fields(cls)
        needed = {field.name for field in fields if field.default is dataclasses.MISSING}
        if unknown := sorted({*values} - {field.name for field in fields}):
            raise ValueError(f"the model configuration has unknown fields: {few(unknown)}")
        if missing := sorted(needed - {*values}):
            raise ValueError(f"the model configuration has missing fields: {few(missing)}")
        return cls(**{**values, "observation": ObservationSpec.from_json(values["observation"])})


def few(names: Iterable[str]) -> str:
    """Return the first few names, short enough for a sentence."""
    return ", ".join(f"{name!r:.40}" for name in [*names][:4])


def check_count(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Check that a field is a whole number within limits.

    Args:
      name: of the field.
      value: of the field.
      least: the smallest allowed number.
      most: the largest allowed number.

    Raises:
      ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"model.{name} must be a whole number from {least} to {most}; got {value!r:.40}")


def check_observation(value: Any) -> None:
    """Raise ValueError where the sensors are not described as an ObservationSpec."""
    if not isinstance(value, ObservationSpec):
        raise ValueError(f"model.observation must be an ObservationSpec, such as vector(4); got {value!r:.40}")


def check_switch(name: str, value: Any) -> None:
    """Raise ValueError where a field is neither true nor false."""
    if not isinstance(value, bool):
        raise ValueError(f"model.{name} must be true or false; got {value!r:.40}")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError where a field is none of the choices."""
    known = [*choices]
    if value not in known:
        raise ValueError(f"model.{name} must be {' or '.join(known)}; got {value!r:.40}")


def check_positive(name: str, value: Any) -> None:
    """Raise ValueError where a field is not a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
        raise ValueError(f"model.{name} must be a positive number; got {value!r:.40}")
