"""The mark of dataclass fields that are no leaves of a pytree.

Under `@register_dataclass @dataclass(frozen=True)`, arrays and numbers are leaves; what decides shapes or code is
static.
"""

from __future__ import annotations

import dataclasses
from typing import Any


def static(default: Any = dataclasses.MISSING) -> Any:
    """A field that is no leaf, and must be hashable: another value of it compiles anew."""
    return dataclasses.field(default=default, metadata={"static": True})
