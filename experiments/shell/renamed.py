"""Earlier names of settings, such as `objective=td`, from before `method` was a separate group."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import cache

logger = logging.getLogger(__name__)

# Choices of `objective` that named a method.
_METHODS = {"td": "td", "sac": "sac", "ppo": "ppo", "true_dynamics": "ceiling", "reward_free": "td"}
_REWARD_FREE = "reward_free"  # still an objective, of method=td
_SUITE_SETTINGS, _SUITE_METHODS = "suite.settings.true_dynamics", "suite.methods"


def current(words: Sequence[str]) -> list[str]:
    """The overrides with current names in place of earlier ones. Each replacement is logged once per process.

    Raises:
      ValueError: an earlier name contradicts `method=...`, or a sweep is over objectives of several methods.
    """
    given = next((word for word in words if word.startswith("method=")), None)
    return [new for word in words for new in _current(word, given)]


def _current(word: str, given: str | None) -> list[str]:
    key, _, value = word.partition("=")
    if key == "objective":
        return _of_objective(word, value.split(","), given)
    if key == _SUITE_SETTINGS:
        return _replaced(word, [f"suite.settings.ceiling={value}"])
    if key == _SUITE_METHODS and (new := re.sub(r"\btrue_dynamics\b", "ceiling", word)) != word:
        return _replaced(word, [new])
    return [word]


def _of_objective(word: str, values: list[str], given: str | None) -> list[str]:
    if not any(value in _METHODS for value in values) or (given and {*values} == {_REWARD_FREE}):
        return [word]
    methods = dict.fromkeys(_METHODS.get(value, "jepa") for value in values)
    method, objective = f"method={','.join(methods)}", list[str]()
    if _REWARD_FREE in values:
        if len(methods) > 1:
            raise ValueError(f"{word} names objectives of several methods: sweep over them in two commands")
        objective = [f"objective={','.join('reward' if value == 'td' else value for value in values)}"]
    if given not in (None, method):
        raise ValueError(f"{word} is an earlier name of {method}, which contradicts {given}: leave out one of them")
    new = _replaced(word, [method, *objective])
    return new if given is None else objective


def _replaced(word: str, new: list[str]) -> list[str]:
    announce(word, " ".join(new))
    return new


@cache
def announce(old: str, new: str) -> None:
    """Log that `new` has replaced `old`."""
    logger.warning("%s is an earlier name: write %s", old, new)
