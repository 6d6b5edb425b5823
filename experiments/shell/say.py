"""Sentences on standard output, printed literally: without markup or line breaks in paths and commands."""

from __future__ import annotations

from rich.console import Console


def say(text: str) -> None:
    """Print `text` without markup or wrapping, so that brackets stay and paths can be copied."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
