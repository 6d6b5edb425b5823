"""Success with one of several sensors missing, for two seconds and for good, with the model filling in what it reads.

The same starts, goals and onsets, each once undisturbed and once with each sensor missing. Beside them the usual way
out, which repeats the sensor's last reading. Time is virtual: every episode waits for its plan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from envs import Task
from envs.faults import BRIEFLY, MISSING, Faulty, Missing
from envs.sensors import at, present_key
from planning.control import Controller, Source

from ... import build
from ...build import goal_tasks
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.moments import goal_for
from ...records.manifest import manifest
from ...records.promises import log_level, require
from ...records.results import Value, append_values
from ...shell.progress import progress_bar
from ...training.ensure import chosen_checkpoint

EVALUATION = 3000  # added to the seed, for pairs that neither training nor another table uses
HELD = "held"


@dataclass(frozen=True)
class Case:
    """One way of driving: which sensor is missing, for how long, and what stands in for it."""

    name: str  # in rows, after `missing_sensor_`
    fault: str | None = None  # of `envs.faults`; None: nothing is missing
    held: bool = False  # repeat the sensor's last reading, in place of the model's


@dataclass
class Outcome:
    """Results of a case, over seeds."""

    solved: list[bool] = field(default_factory=list)
    braked: list[bool] = field(default_factory=list)  # episodes in which an imagined reading was not trusted any more
    within: list[float] = field(default_factory=list)  # share of the components within a standard deviation, by step
    trust: list[float] = field(default_factory=list)  # at the end of each episode

    @property
    def rate(self) -> float:
        """Success rate."""
        return float(np.mean(self.solved))


def cases(task: Task) -> Iterator[Case]:
    """Nothing missing; then each sensor, for two seconds and for good, and its last reading repeated as long."""
    yield Case("undisturbed")
    for sensor in task.sensors:
        fault = MISSING + sensor.name
        yield Case(f"success_{sensor.name}", fault + BRIEFLY)
        yield Case(f"for_good_{sensor.name}", fault)
        yield Case(f"{HELD}_{sensor.name}", fault + BRIEFLY, held=True)
        yield Case(f"{HELD}_for_good_{sensor.name}", fault, held=True)


def run(cfg: DictConfig) -> list[Value]:
    """Measure all cases, print them, and add the values to `robot_loop.csv`.

    Raises:
      ValueError: a task with a single sensor, or a model that does not fill in sensors.
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    suite, found = cfg.suite, dict[str, Outcome]()
    for seed in suite.seeds:
        words = (f"task={suite.task}", f"runs='{cfg.runs}'", f"seed={seed}", *suite.overrides)
        settings = build.compose("plan", *words)
        settings.checkpoint = suite.checkpoint
        checkpoint = chosen_checkpoint(settings, int(seed), "bench")
        task = goal_tasks.of_model(checkpoint)
        if len(task.sensors) < 2 or checkpoint.model.heads.fill is None:
            raise ValueError(
                f"suite=missing_sensor needs a model of several sensors that fills them in, and that of {suite.task} "
                "is none: choose such a task, with suite.overrides=[model.filling=true]"
            )
        controller = Controller(build.agent(settings, checkpoint.model, task), least_trust=float(suite.least_trust))
        controller.warmup()
        pairs = honest(task, int(suite.episodes), int(seed) + EVALUATION)
        onsets = np.random.default_rng(int(seed)).integers(int(suite.onset[0]), int(suite.onset[1]), len(pairs))
        for case in cases(task):
            measure(task, controller, pairs, onsets, case, found.setdefault(case.name, Outcome()))
        task.close()
    values = values_of(found)
    show(found)
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(seed) for seed in suite.seeds]))
    require(suite, values)
    return values


def measure(
    task: Task, controller: Controller, pairs: Pairs, onsets: Int[ndarray, "B"], case: Case, outcome: Outcome
) -> None:
    """Drive every pair once, and add to the outcome.

    Args:
      task: the simulator.
      controller: of its model.
      pairs: starts and goals.
      onsets: step of each episode at which the sensor goes missing.
      case: what is missing.
      outcome: of the case.
    """
    quiet = log_level("planning.control", logging.ERROR)  # fallbacks are counted
    with quiet, progress_bar(f"{case.name} on {task.name}", len(pairs)) as bar:
        for index in range(len(pairs)):
            _episode(task, controller, pairs.part(index, index + 1), int(onsets[index]), case, outcome)
            bar(index + 1, len(pairs))


def _episode(task: Task, controller: Controller, pair: Pairs, onset: int, case: Case, outcome: Outcome) -> None:
    """Drive one pair to its goal, or to the end of the budget."""
    known = case.fault is None
    rng = np.random.default_rng([pair.seed, pair.number])
    faulty = Faulty(task, case.fault or "teleport", pair.budget if known else onset, pair.states, rng)
    missing = Missing.of(task, case.fault)
    states, observation = pair.states, at(task.observe(pair.states), 0)
    controller.reset(goal_for(task, pair.goals[0]), seed=pair.number)
    solved, braked, last = False, False, observation
    trust = 1.0
    for _ in range(pair.budget):
        if case.held and missing is not None:
            observation = last = _with_last(task, observation, last, missing.sensor)
        action = controller.act(observation)
        braked |= controller.source == Source.BRAKE
        if missing is not None and missing.sensor in controller.filled:
            truth: Any = task.observe(states)
            reading, deviation = controller.expected(missing.sensor)
            if reading.size == truth[missing.sensor][0].size:  # those of pictures are features
                error = np.abs(reading - np.ravel(truth[missing.sensor][0]))
                outcome.within.append(float((error <= deviation).mean()))
            trust = controller.filled[missing.sensor]
        sensed = faulty.step(action[None])
        states, observation = sensed.states, at(sensed.observations, 0)
        if task.success(states[0], pair.goals[0]):
            solved = True
            break
    outcome.solved.append(solved)
    outcome.braked.append(braked)
    if missing is not None and not case.held:
        outcome.trust.append(trust)


def _with_last(task: Task, observation: Any, last: Any, name: str) -> Any:
    """Return an observation with the last reading of a sensor, where it is missing."""
    (sensor,) = (each for each in task.sensors if each.name == name)
    key = present_key(sensor)
    gone = not observation[key].all() if sensor.optional else not np.isfinite(observation[name]).all()
    if not gone:
        return observation
    return {**observation, **{each: last[each] for each in (name, key) if each in observation}}


def values_of(found: dict[str, Outcome]) -> list[Value]:
    """Values of all cases, and of the worst sensor."""
    calm = found["undisturbed"].rate
    worst = min(outcome.rate for name, outcome in found.items() if name.startswith("success_"))
    values = [
        Value("missing_sensor_undisturbed", calm, "success rate"),
        Value("missing_sensor_success", worst, "success rate"),
        Value("missing_sensor_lost", 1 - worst / calm if calm else 1.0, "share of the undisturbed success"),
        Value("missing_sensor_episodes", float(len(found["undisturbed"].solved)), "episodes"),
    ]
    for name, outcome in found.items():
        if name == "undisturbed":
            continue
        values.append(Value(f"missing_sensor_{name}", outcome.rate, "success rate"))
        if not name.startswith(HELD):
            values.append(Value(f"missing_sensor_{name}_braked", float(np.mean(outcome.braked)), "share of episodes"))
        if outcome.within and not name.startswith(HELD):
            values.append(
                Value(f"missing_sensor_{name}_within", float(np.mean(outcome.within)), "share within one deviation")
            )
    return values


def show(found: dict[str, Outcome]) -> None:
    """Print the cases."""
    table = Table(title="one sensor missing", box=SIMPLE_HEAD)
    for column in ("case", "success", "braked", "within one deviation", "trust at the end"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for name, outcome in found.items():
        within = f"{np.mean(outcome.within):.0%}" if outcome.within else ""
        trust = f"{np.mean(outcome.trust):.2f}" if outcome.trust else ""
        table.add_row(name, f"{outcome.rate:.1%}", f"{np.mean(outcome.braked):.1%}", within, trust)
    Console().print(table)
