"""Strict JSON lines: no NaN, no infinity, no array, no enumeration."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any

import numpy as np


def as_line(values: dict[str, Any]) -> str:
    """Return one line of strict JSON."""
    return json.dumps(_strict(values), allow_nan=False, separators=(",", ":")) + "\n"


def _strict(value: Any) -> Any:
    """Convert to what JSON can express: no NaN, no infinity, no array, no enumeration."""
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return _strict(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be logged")
