"""Marker of dataclass fields that are not leaves of a pytree.

Under `@register_dataclass @dataclass(frozen=True)`, arrays and numbers are leaves; values that decide shapes or code
are static.
"""

from __future__ import annotations

import dataclasses
from typing import Any


def static(default: Any = dataclasses.MISSING) -> Any:
    """Return a field that is not a leaf and must be hashable: another value triggers a recompilation."""
    return dataclasses.field(default=default, metadata={"static": True})
