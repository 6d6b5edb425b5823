"""Planning budgets: the number of sequences that a plan evaluates, and planners resized to another budget."""

from __future__ import annotations

import dataclasses
from typing import Any

from planning import AskTell, Planner

from ..shell.folders import config_dir

_LEVELS = ("hierarchy", "landmarks")  # planners with sub-goals


def on_one_level() -> list[str]:
    """Names of the planners in configs/planner that search on one level: their number of sequences is one number."""
    return sorted(file.stem for file in (config_dir() / "planner").glob("*.yaml") if file.stem not in _LEVELS)


def rollouts(planner: Planner[Any]) -> int:
    """Action sequences that one plan evaluates."""
    if isinstance(planner, AskTell):
        return sum(planner.sizes())
    return planner.num_starts * planner.iterations  # type: ignore[attr-defined]


def population(planner: Planner[Any]) -> str:
    """Name of the setting for the number of sequences per iteration, `num_samples` or `num_starts`."""
    return "num_samples" if "num_samples" in _settings(planner) else "num_starts"


def sized(planner: Planner[Any], num_samples: int, iterations: int) -> Planner[Any]:
    """The planner with `num_samples` samples (or starts) and `iterations`; its share of elites is unchanged."""
    count: Any = planner
    names = _settings(planner)
    numbers = {"iterations": iterations, population(planner): num_samples}
    if "num_elites" in names:
        numbers["num_elites"] = max(2, count.num_elites * num_samples // count.num_samples)
    for name in {"num_best", "num_keep"} & names:
        numbers[name] = min(getattr(planner, name), num_samples // 2)
    return dataclasses.replace(count, **numbers)


def _settings(planner: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(planner)}
