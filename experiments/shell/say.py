"""A sentence on standard output, as it is: paths and commands keep their brackets, and are not broken into lines."""

from __future__ import annotations

from rich.console import Console


def say(text: str) -> None:
    """Print `text`; what it has in brackets is no markup, and what can be copied stays on its line."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
