"""The points of `jepa-mpc bench suite=goal`: policy, task, model, protocol and settings of each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import envs
from envs.behaviours import Behaviour
from envs.goal_parts import HasOffset

from ... import build
from ...build.defaults import defaults
from ...build.recipes import Paths, early_stop, recipe
from ...evaluation.goals.measure import OF_MODEL, PLANNING, SIMULATED
from ...evaluation.goals.protocols import LEWM_BUDGET, LEWM_OFFSET, Pairs, honest, lewm, strict
from ...training import cloning

START = "start"  # the row of pairs that are solved before the first step
BASELINES = ("gcbc", "sac_her")
POLICIES = ("model", "reflex", "random", "noop", *BASELINES)
PROTOCOLS = ("honest", "strict", "lewm")
STATE = "state"
LOOKING = (*OF_MODEL, "gcbc")  # policies that see an observation

_RECIPE = ("task", "behaviour", "collection", "model", "objective", "training")
_PLANNING = ("planner", "cost", "risk", "constraint", "replan_every", "precision", "members")
# The settings that a policy's row depends on.
_SETTINGS = {
    "model": _RECIPE + _PLANNING,
    "oracle": _RECIPE + _PLANNING,
    "ceiling": ("task", "model", "planner", "replan_every"),
    "reflex": _RECIPE,
    "gcbc": ("task", "behaviour", "collection", "model.history", *cloning.TRAINING),
    "sac_her": ("task", "collection"),
}
_PAIRS = {"honest": ("task",), "strict": ("task",), "lewm": ("task", "behaviour", "collection")}


@dataclass(frozen=True)
class Recipe:
    """A recipe on one task: its settings with each planner."""

    task: str
    observation: str  # what the task is observed by, as in rows
    variant: str  # empty for the default recipe
    settings: dict[str, DictConfig] = field(compare=False)  # of `jepa-mpc plan`, by planner

    @property
    def cfg(self) -> DictConfig:
        """The settings for policies that do not plan."""
        return next(iter(self.settings.values()))

    def model_file(self, seed: int, default: Recipe) -> Path:
        """Path of its model: next to the data for the default's model, else in a folder named after the variant."""
        place = Paths.of(self.cfg, seed).model
        same = recipe(self.cfg, seed) == recipe(default.cfg, seed)
        return place if same else place.parent / self.variant / place.name


@dataclass(frozen=True)
class Point:
    """Specification of one row."""

    recipe: Recipe
    protocol: str
    policy: str
    planner: str  # its file in configs/planner; empty for policies without one
    seed: int
    episodes: int
    budget: int = field(compare=False)
    goal_offset: int | None  # environment steps from start to goal, where goals are reached from the start
    extra: dict[str, Any] = field(compare=False)  # a baseline's own settings

    @property
    def cfg(self) -> DictConfig:
        """The settings of the measurement."""
        return self.recipe.settings[self.planner] if self.planner else self.recipe.cfg

    def __str__(self) -> str:
        seen = "" if self.recipe.observation == STATE else f"from {self.recipe.observation},"
        words = (self.recipe.variant, self.policy, self.planner, f"on {self.recipe.task}, seed {self.seed},")
        offset = "" if self.goal_offset is None else f"+{self.goal_offset}"
        return " ".join(filter(None, (*words, seen, self.protocol, offset)))

    @cached_property
    def planner_name(self) -> str:
        """The planner's name in rows."""
        return str(self.cfg.planner._target_).rpartition(".")[2].lower() if self.planner else ""

    def identity(self) -> tuple[str | int | None, ...]:
        """Identity of the row."""
        model = "jepa" if self.policy in OF_MODEL else ""
        names = (self.recipe.task, self.recipe.observation, self.protocol, self.policy, self.planner_name, model)
        return (*names, self.recipe.variant, self.seed, self.goal_offset)

    @property
    def key(self) -> str:
        """Key of its settings in the manifest, shared by all seeds."""
        seen = "" if self.recipe.observation == STATE else self.recipe.observation
        offset = "" if self.protocol == "lewm" or self.goal_offset is None else f"+{self.goal_offset}"
        words = (self.recipe.task, seen, self.protocol, self.policy, self.planner_name, self.recipe.variant, offset)
        return " ".join(filter(None, words))

    @cached_property
    def settings(self) -> str:
        """All settings except the seed that the row depends on, in one line. If they differ, it is measured again."""
        return " ".join(f"{name}={value}" for name, value in _flat(self._values))

    def same_settings(self, stored: str) -> bool:
        """Whether a stored row has the same settings, in any order; one that is newer than the row has its default."""
        had, has = set(stored.split()), set(self.settings.split())
        usual = {f"{name}={value}" for name, value in _flat(defaults(self._values))}
        return had <= has and has - had <= usual

    @cached_property
    def _values(self) -> dict[str, Any]:
        names = dict.fromkeys((*_PAIRS[self.protocol], *_SETTINGS.get(self.policy, ())))
        chosen = OmegaConf.masked_copy(self.cfg, [name for name in names if "." not in name])
        values: Any = OmegaConf.to_container(chosen, resolve=True)
        if "training" in values and (stopping := early_stop(self.recipe.cfg)):
            values["early_stop"] = stopping
        if "task" in names and self.recipe.observation != STATE and self.policy in LOOKING:
            values["observation"] = OmegaConf.to_container(self.cfg.observation, resolve=True)
        values |= {name: OmegaConf.select(self.cfg, name) for name in names if "." in name}
        if self.policy == "gcbc" and self.cfg.model.memory:
            values |= {name: OmegaConf.select(self.cfg, name) for name in ("model.memory", "model.memory_stride")}
        return {"budget": self.budget, **values, **self.extra}


def check(cfg: DictConfig) -> None:
    """Raise ValueError on invalid settings before anything is measured."""
    suite = cfg.suite
    allowed = {"tasks": envs.task_names(), "policies": POLICIES, "simulated": SIMULATED, "protocols": PROTOCOLS}
    for name, known in allowed.items():
        for each in suite[name]:
            if each not in known:
                raise ValueError(f"{each!r} is not a choice of suite.{name}: choose from {', '.join(known)}")
    for name in ("tasks", "observations", "seeds", "planners", "protocols"):
        if len(suite[name]) == 0:
            raise ValueError(f"suite.{name} is empty: name at least one")
    for name in ("episodes", "simulated_episodes"):
        if not suite[name] >= 1:
            raise ValueError(f"suite.{name} must be at least 1; got {suite[name]}")
    if "" in suite.variants:
        raise ValueError(
            "suite.variants has a variant without a name: leave it out, the default recipe is always measured"
        )


def recipes(cfg: DictConfig) -> dict[tuple[str, str, str], Recipe]:
    """All recipes of the suite by task, observation and variant, the default one first.

    Raises:
      ValueError: a setting does not exist.
    """
    found = {}
    variants = {"": [], **{str(name): list(overrides) for name, overrides in cfg.suite.variants.items()}}
    for task, seen, (variant, overrides) in product(
        map(str, cfg.suite.tasks), map(str, cfg.suite.observations), variants.items()
    ):
        settings = {}
        for planner in map(str, cfg.suite.planners):
            words = (
                f"task={task}",
                *([] if seen == STATE else [f"observation={seen}"]),
                f"planner={planner}",
                *map(str, cfg.suite.overrides),
                *map(str, overrides),
            )
            try:
                settings[planner] = build.compose("plan", *words)
            except Exception as error:  # Hydra raises errors of many types
                raise ValueError(f"the settings {' '.join(words)} cannot be composed: {error}") from error
            settings[planner].runs, settings[planner].variant = cfg.runs, variant
        found[task, seen, variant] = Recipe(task, seen, variant, settings)
    return found


def points(cfg: DictConfig, found: dict[tuple[str, str, str], Recipe]) -> Iterator[Point]:
    """All rows of the suite in the order of measurement: task by task, and seed by seed within a task.

    Rows that do not depend on the recipe are measured once, with the default one, and those that plan in the simulator
    from state alone: a picture of each imagined moment would take hours.
    """
    suite, tasks = cfg.suite, {str(task): envs.make(str(task)) for task in cfg.suite.tasks}
    for task, seed in product(map(str, suite.tasks), map(int, suite.seeds)):
        for (_, seen, variant), each in ((key, each) for key, each in found.items() if key[0] == task):
            moments = [
                (name, *each) for name in map(str, suite.protocols) for each in _moments(suite, tasks[task], name)
            ]
            for protocol, offset, budget in moments:
                simulated = suite.simulated if protocol == "honest" and seen == STATE else []
                policies = [*suite.policies, *simulated]
                if protocol == "lewm":
                    policies.insert(0, START)
                for policy in map(str, policies):
                    if variant and policy not in (*OF_MODEL, *PLANNING):
                        continue
                    episodes = int(suite.simulated_episodes if policy in SIMULATED else suite.episodes)
                    extra = {policy: dict(suite.baselines[policy])} if policy in BASELINES else {}
                    for planner in suite.planners if policy in PLANNING else [""]:
                        yield Point(each, protocol, policy, str(planner), seed, episodes, budget, offset, extra)


def _moments(suite: DictConfig, task: envs.Task, protocol: str) -> list[tuple[int | None, int]]:
    """Offsets of the goals of a protocol on a task, and the budget of each; the offset is None where there is none."""
    if protocol == "lewm":
        return [(LEWM_OFFSET, LEWM_BUDGET)]
    if not isinstance(task, HasOffset):
        return [(None, task.budget)]
    return [(offset, 2 * offset) for offset in map(int, suite.goal_offsets or [task.goal_offset])]


def pairs_of(recipe: Recipe, protocol: str, episodes: int, seed: int, offset: int | None) -> Pairs:
    """The first `episodes` pairs of a protocol."""
    task = envs.make(recipe.task)
    if protocol in ("honest", "strict"):
        return (honest if protocol == "honest" else strict)(task, episodes, seed, offset)
    behaviour: Behaviour = build.make(recipe.cfg.behaviour, "behaviour")
    return lewm(task, behaviour, episodes, int(recipe.cfg.collection.steps), seed)


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
