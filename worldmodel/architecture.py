"""The numbers that shape a module, as a model file's header keeps them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

A = TypeVar("A", bound="Architecture")


@dataclass(frozen=True)
class Architecture(ABC):
    """Hashable, and equal where the modules are. Sizes come from the data or the environment, the rest is chosen."""

    observation_size: int
    action_size: int

    @abstractmethod
    def create(self, seed: int) -> Any:
        """A freshly initialised module."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `from_json` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls: type[A], values: dict[str, Any]) -> A:
        """Raises ValueError on a field this version does not know, or one that is missing."""
        known = {field.name for field in dataclasses.fields(cls)}
        if set(values) != known:
            raise ValueError(f"model configuration with unknown or missing fields: {sorted(set(values) ^ known)}")
        return cls(**values)
