"""The points of `jepa-mpc bench suite=planners`: planner, evaluations per plan, task and model of each run."""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import dataclass
from itertools import product
from typing import Any

from omegaconf import DictConfig, OmegaConf

import envs
from planning import ActionSpec, AskTell, Planner

from ... import build
from ...shell.plugins import plugins
from ..budgets import on_one_level, rollouts, sized

logger = logging.getLogger(__name__)

POLICIES = ("model", "oracle")


@dataclass(frozen=True)
class Point:
    """Specification of one run over episodes."""

    task: str
    policy: str
    planner: str
    seed: int
    plan_budget: int  # maximum number of evaluations per plan

    def __str__(self) -> str:
        return f"{self.planner} at {self.plan_budget} on {self.task} ({self.policy}), seed {self.seed}"


@dataclass(frozen=True)
class Split:
    """The rule that splits a budget of evaluations into samples and iterations."""

    iterations: dict[int, int]  # number of iterations from the budget in the key on
    descent: int  # evaluations that one forward and backward pass counts as

    @classmethod
    def of(cls, cfg: DictConfig) -> Split:
        """The rule in the suite's settings.

        Raises:
          ValueError: a number is below 1.
        """
        numbers = {int(start): int(number) for start, number in cfg.suite.iterations.items()}
        if not numbers or min(numbers.values()) < 1:
            raise ValueError(f"suite.iterations must give at least 1 iteration from some budget on; got {numbers}")
        if not cfg.suite.descent_evaluations >= 1:
            raise ValueError(f"suite.descent_evaluations must be at least 1; got {cfg.suite.descent_evaluations}")
        return cls(numbers, int(cfg.suite.descent_evaluations))

    def evaluations(self, planner: Planner[Any]) -> int:
        """Cost of one plan: the candidates of all iterations, or descents times `descent`."""
        return rollouts(planner) * (1 if isinstance(planner, AskTell) else self.descent)

    def fitted(self, planner: Planner[Any], plan_budget: int) -> Planner[Any]:
        """The planner with the most samples (or starts) whose plan takes at most `plan_budget` evaluations.

        Sampling planners share one number of iterations, the share of elites is unchanged, and all other settings are
        the planner's own. The gradient planner keeps its iterations unless not even one start fits.

        Raises:
          ValueError: the budget is too small for one sample.
        """
        if isinstance(planner, AskTell):
            start = max((start for start in self.iterations if start <= plan_budget), default=min(self.iterations))
            iterations = self.iterations[start]
        else:
            iterations = min(planner.iterations, max(1, plan_budget // self.descent))

        def cost(count: int) -> int:
            return self.evaluations(sized(planner, count, iterations))

        most = bisect_right(range(1, plan_budget + 1), plan_budget, key=cost)
        for count in range(most, 0, -1):
            found = sized(planner, count, iterations)
            if _possible(found):
                return found
        raise ValueError(f"{plan_budget} evaluations a plan are too few for {type(planner).__name__}")


def check(cfg: DictConfig) -> None:
    """Raise ValueError on invalid settings before anything is measured."""
    for name in ("tasks", "policies", "seeds", "budgets"):
        if len(cfg.suite[name]) == 0:
            raise ValueError(f"suite.{name} is empty: name at least one")
    for policy in cfg.suite.policies:
        if policy not in POLICIES:
            raise ValueError(f"suite.policies has no policy called {policy!r}: choose from {', '.join(POLICIES)}")
    for name in ("episodes", "simulated_episodes"):
        if not cfg.suite[name] >= 1:
            raise ValueError(f"suite.{name} must be at least 1; got {cfg.suite[name]}")
    for task in map(str, cfg.suite.tasks):
        steps, tight = envs.make(task).budget, cfg.suite.tight.get(task)
        if tight is None:
            raise ValueError(f"suite.tight has no number of steps for the task {task}: add +suite.tight.{task}=STEPS")
        if not 1 <= tight <= steps:
            raise ValueError(f"suite.tight.{task} must lie between 1 and the task's own {steps} steps; got {tight}")


def planners(cfg: DictConfig) -> dict[str, Planner[Any]]:
    """The planners of the suite by name: those of configs/planner, unchanged, and the suite's own entries.

    Raises:
      ValueError: a name is neither, or an entry has a setting that its planner lacks.
    """
    files = on_one_level()
    entries = {str(name): dict(entry) for name, entry in cfg.suite.entries.items()}
    if both := sorted(set(files) & set(entries)):
        raise ValueError(f"suite.entries.{both[0]} has the name of a planner in configs/planner: give it another")
    known = [*files, *entries]
    names = known if cfg.suite.planners is None else [str(name) for name in cfg.suite.planners]
    theirs = plugins("planner").names()  # of installed packages, when they are named
    known = [*known, *theirs]
    if unknown := sorted({*names, str(cfg.suite.reference.planner)} - set(known)):
        raise ValueError(f"suite.planners has no planner called {unknown[0]!r}: choose from {', '.join(known)}")
    return {name: _planner(name, entries.get(name, {"planner": name}), [*files, *theirs]) for name in names}


def points(cfg: DictConfig, chosen: dict[str, Planner[Any]]) -> dict[Point, Planner[Any]]:
    """All runs of the suite with their planners; seeds are consecutive, since they share compiled programs.

    A gradient planner on the simulator is left out, since it cannot differentiate it. So is a budget too small for a
    planner, which is logged.

    Raises:
      ValueError: no run is left.
    """
    split, found = Split.of(cfg), {}
    for name, planner in chosen.items():
        for plan_budget in map(int, cfg.suite.budgets):
            try:
                fitted = split.fitted(planner, plan_budget)
            except ValueError as error:
                logger.warning("%s is left out: %s", name, error)
                continue
            for task, policy, seed in product(cfg.suite.tasks, cfg.suite.policies, cfg.suite.seeds):
                if policy == "model" or isinstance(planner, AskTell):
                    found[Point(str(task), str(policy), name, int(seed), plan_budget)] = fitted
    if not found:
        raise ValueError(
            "suite.budgets and suite.policies leave no planner anything to do: give more evaluations a plan"
        )
    return dict(sorted(found.items(), key=lambda item: list(cfg.suite.tasks).index(item[0].task)))


def _planner(name: str, entry: dict[str, Any], files: list[str]) -> Planner[Any]:
    base = str(entry.pop("planner", None))
    if base not in files:
        raise ValueError(f"suite.entries.{name}.planner must name a planner: one of {', '.join(files)}; got {base!r}")
    own = build.compose("plan", f"planner={base}").planner
    node = OmegaConf.create({**own, **entry})
    planner: Planner[Any] = build.make(node, f"suite.entries.{name}")
    return planner


def _possible(planner: Planner[Any]) -> bool:
    try:
        planner.validate(ActionSpec.of([-1.0], [1.0], 1.0))
    except ValueError:
        return False
    return True
