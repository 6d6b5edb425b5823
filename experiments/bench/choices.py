"""Choices of a suite, checked before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..shell.did_you_mean import did_you_mean


def check_choices(suite: Any, known: Mapping[str, Sequence[str]], needed: Sequence[str] = ()) -> None:
    """Check lists of a suite's settings.

    Args:
      suite: its settings.
      known: choices of each list, by name; none may be empty.
      needed: further lists that may not be empty.

    Raises:
      ValueError: an entry that is no choice, or an empty list.
    """
    for name, choices in known.items():
        for each in map(str, suite[name] or []):
            if each not in choices:
                raise ValueError(
                    f"{each!r} is not a choice of suite.{name}: choose from {', '.join(choices)}"
                    f"{did_you_mean(each, choices)}"
                )
    for name in (*known, *needed):
        if not suite[name]:
            raise ValueError(f"suite.{name} is empty: name at least one")
