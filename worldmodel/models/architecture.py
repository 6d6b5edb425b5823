"""The numbers that shape a module, as a model file's header keeps them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

A = TypeVar("A", bound="Architecture")

MOST = 1_000_000  # of anything that sizes an array
# Each is a module of its own, and a thousand of them take minutes to build.
MOST_LAYERS = 16
MOST_MEMBERS = 32


@dataclass(frozen=True)
class Architecture(ABC):
    """Hashable, and equal where the modules are. Sizes come from the data or the environment, the rest is chosen."""

    observation_size: int
    action_size: int

    @abstractmethod
    def create(self, seed: int) -> Any:
        """A freshly initialised module."""

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """D, the numbers in one latent."""

    @property
    @abstractmethod
    def fewest_tensors(self) -> int:
        """A number of tensors that the module has at least: known before it is built."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `from_json` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls: type[A], values: Any) -> A:
        """Raises ValueError on a field that is missing, unknown to this version, of another type, or out of range."""
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != known:
            values = values if isinstance(values, dict) else {}
            raise ValueError(f"model configuration with unknown or missing fields: {sorted(set(values) ^ known)}")
        return cls(**values)


def check_count(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Raise ValueError where a field is no whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"model.{name} must be a whole number from {least} to {most}; got {value!r:.40}")


def check_switch(name: str, value: Any) -> None:
    """Raise ValueError where a field is neither true nor false."""
    if not isinstance(value, bool):
        raise ValueError(f"model.{name} must be true or false; got {value!r:.40}")


def check_positive(name: str, value: Any) -> None:
    """Raise ValueError where a field is no finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
        raise ValueError(f"model.{name} must be a positive number; got {value!r:.40}")
