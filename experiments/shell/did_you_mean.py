"""A hint to what a misspelt word may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`; did you mean X?` for the choice that the word comes close to; nothing where there is none."""
    close = get_close_matches(word, list(choices), n=1)
    return f"; did you mean {close[0]}?" if close else ""
