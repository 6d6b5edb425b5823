"""What a setting may be, in words: its choices or its range, from the kinds in `shell/limits.py`."""

from __future__ import annotations

import math
from typing import Any

from ..shell.kinds import Flag, Group, Kind, Named, Number, Places, Several, Whole, Word
from ..shell.limits import OPTIONAL, kind_of
from ..shell.overrides import PATHS

_NEEDED = ("episodes", "out", "results")  # where their default is not null, the command needs them


def allowed(key: str, value: Any = None) -> str:
    """What the setting may be, as in `whole number, 1 or more`; empty where its own class checks it.

    Args:
      key: the whole key.
      value: its default.
    """
    kind = kind_of(key, value)
    if kind is None:
        return ""
    words = "path" if key in PATHS and isinstance(kind, Word) and not kind.choices else _words(kind)
    return words + (" or null" if value is None or (key in OPTIONAL and key not in _NEEDED) else "")


def choices(key: str, value: Any = None) -> tuple[str, ...]:
    """The words that a setting chooses from; empty where it is no such choice."""
    kind = kind_of(key, value)
    kind = kind.each if isinstance(kind, Several) else kind
    if isinstance(kind, Flag):
        return ("true", "false")
    return kind.choices if isinstance(kind, Word) else ()


def shown(value: Any) -> str:
    """A value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {shown(each)}' for name, each in value.items())}}}"
    return f"'{value}'" if value == "" or " " in str(value) else str(value)


def _words(kind: Kind) -> str:
    match kind:
        case Whole(low=low, high=None):
            return f"whole number, {low} or more"
        case Whole(low=low, high=high):
            return f"whole number, {low} to {high}"
        case Number():
            return _range(kind)
        case Flag():
            return "true or false"
        case Word(choices=()):
            return "text"
        case Word(choices=choices):
            return f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else choices[0]
        case Places():
            return "path or list of paths"
        case Group():
            return "settings by name"
        case Named():
            return "name or class"
        case Several(each=each, fewest=fewest):
            least = f", {fewest} or more of them" if fewest > 1 else ", not empty" if fewest else ""
            return f"list of {_plural(each)}{least}"


def _range(kind: Number) -> str:
    if kind.low == -math.inf:
        return "number"
    low = f"more than {kind.low:g}" if kind.above else f"{kind.low:g}"
    if kind.high == math.inf:
        return f"number, {low}" if kind.above else f"number, {low} or more"
    if kind.above or kind.below:
        high = f"less than {kind.high:g}" if kind.below else f"{kind.high:g} at most"
        return f"number, {low if kind.above else f'{low} or more'}, {high}"
    return f"number, {low} to {kind.high:g}"


def _plural(each: Whole | Number | Word | Group | Named) -> str:
    match each:
        case Word(choices=()):
            return "texts"
        case Word(choices=choices):
            return " and ".join(choices)
        case Group():
            return "groups of settings"
        case Named():
            return "names or classes"
        case Whole(low=low, high=None):
            return f"whole numbers, {low} or more each"
        case Whole(low=low, high=high):
            return f"whole numbers, {low} to {high} each"
    return _range(each).replace("number", "numbers", 1)
