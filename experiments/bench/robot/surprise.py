"""Detection of faults by surprise within a few steps: AUROC and false alarms.

The same episodes run in closed loop once undisturbed and once with each fault. The highest score in the first steps
after the onset counts, and AUROC is the probability that a faulty episode scores above an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs import Task
from envs.faults import Faulty
from planning import Agent
from planning.control import LiveEngine
from planning.control.worker.surprise import Surprise, SurpriseMonitor, calibrate, predictions

from ... import build
from ...build import goal_tasks
from ...evaluation.goals.protocols import Pairs, honest
from ...evaluation.goals.rollout import GoalEpisodes
from ...evaluation.moments import rows_of, true_rows
from ...evaluation.policy import ModelPolicy
from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values
from ...shell.progress import progress_bar
from ...training.ensure import chosen_checkpoint, ensure_model

CALIBRATION, EVALUATION = 1000, 2000  # added to the seed, for pairs that neither training nor another table uses
PICTURE_FAULTS = {"teleport": "teleport", "freeze": "frozen_sensor", "vanish": "vanish"}  # that only a camera sees


@dataclass(frozen=True)
class Subject:
    """A model on its task, and the faults that it is measured with: names in rows, and those of `envs.faults`."""

    label: str  # in the table
    task: Task
    agent: Agent
    faults: Mapping[str, str]
    pictures: bool = False

    def case(self, what: str, fault: str = "") -> str:
        """Return the name of a measured value; rows of pictures name no task, since there is one of them."""
        words = ("surprise_pixels", what, fault) if self.pictures else ("surprise", what, self.label, fault)
        return "_".join(filter(None, words))


def run(cfg: DictConfig) -> list[Value]:
    """Calibrate and measure on every task, print the table, and add the values to `robot_loop.csv`.

    Raises:
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    suite = cfg.suite
    values: list[Value] = []
    table = Table(title=f"within {suite.within} steps of the onset", box=SIMPLE_HEAD)
    for column in ("task", "fault", "AUROC", "alarms"):
        table.add_column(column, justify="right" if column in ("AUROC", "alarms") else "left")
    for subject in subjects(cfg):
        values += measured(suite, subject, table)
    Console().print(table)
    append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(suite.seed)]))
    require(cfg.suite, values)
    return values


def subjects(cfg: DictConfig) -> Iterator[Subject]:
    """Each task from its state, with its model trained if missing, and then the one seen in pictures."""
    suite = cfg.suite
    for name in suite.tasks:
        settings = build.compose("plan", f"task={name}", f"runs={cfg.runs}", f"seed={suite.seed}")
        task = envs.make(str(name))
        agent = build.agent(settings, ensure_model(settings, int(suite.seed)).model, task)
        yield Subject(str(name), task, agent, {str(fault): str(fault) for fault in suite.faults})
    if suite.pictures_of is not None:
        words = ["observation=pixels", f"task={suite.pictures_of}", f"runs={cfg.runs}", f"seed={suite.seed}"]
        settings = build.compose("plan", *words)
        settings.checkpoint = suite.checkpoint
        checkpoint = chosen_checkpoint(settings, int(suite.seed), "bench")
        task = goal_tasks.of_model(checkpoint)
        agent = build.agent(settings, checkpoint.model, task)
        yield Subject(f"{suite.pictures_of} pictures", task, agent, PICTURE_FAULTS, pictures=True)


def measured(suite: DictConfig, subject: Subject, table: Table) -> list[Value]:
    """Calibrate and measure one model; adds its lines to the table."""
    task, agent = subject.task, subject.agent
    surprise = calibrated(suite, task, agent)
    calm = honest(task, max(int(suite.undisturbed_episodes), int(suite.episodes)), int(suite.seed) + EVALUATION)
    pairs = calm.first(int(suite.episodes))
    onsets = np.random.default_rng(int(suite.seed)).integers(int(suite.onset[0]), int(suite.onset[1]), len(pairs))
    undisturbed = scores(suite, task, agent, surprise, calm, None, fault=None)
    healthy = undisturbed[: len(pairs)]
    minutes = undisturbed.size * task.control_period / 60
    alarms = count_alarms(undisturbed > surprise.threshold)
    values = [
        Value(subject.case("false_alarms_per_minute"), alarms / minutes, "alarms a minute"),
        Value(subject.case("undisturbed_minutes"), minutes, "minutes"),
    ]
    table.add_row(subject.label, "none", "", f"{alarms} in {minutes:.1f} min")
    for name, fault in subject.faults.items():
        broken = scores(suite, task, agent, surprise, pairs, onsets, fault)
        highest = [highest_after_onset(each, onsets, int(suite.within)) for each in (healthy, broken)]
        caught = float((highest[1] > surprise.threshold).mean())
        values.append(Value(subject.case("auroc", name), auroc(*highest), "AUROC"))
        values.append(Value(subject.case("caught", name), caught, "share of episodes"))
        table.add_row(subject.label, name, f"{auroc(*highest):.3f}", f"{caught:.0%} caught")
    return values


def calibrated(suite: DictConfig, task: Task, agent: Agent) -> Surprise:
    """The surprise alarm calibrated under this planner for the suite's false-alarm rate."""
    pairs = honest(task, int(suite.calibration_episodes), int(suite.seed) + CALIBRATION)
    observations, actions = drive(suite, task, agent, pairs, None, fault=None)
    rate = float(suite.false_alarms_per_minute) * task.control_period / 60
    return calibrate(LiveEngine(agent), zip(observations, actions, strict=True), rate, seed=int(suite.seed))


def scores(
    suite: DictConfig,
    task: Task,
    agent: Agent,
    surprise: Surprise,
    pairs: Pairs,
    onsets: Int[ndarray, "B"] | None,
    fault: str | None,
) -> Float[ndarray, "B C"]:
    """Score after each of C comparisons, the first once an action block has been executed."""
    engine = LiveEngine(agent)
    found = []
    for observed, acted in zip(*drive(suite, task, agent, pairs, onsets, fault), strict=True):
        monitor = SurpriseMonitor(surprise)
        found.append([monitor.add(each) for each in predictions(engine, observed, acted)])
    # Comparison c uses observation c + K. The first K - 1 steps of an episode have no comparison and score -inf.
    return np.pad(np.asarray(found), ((0, 0), (agent.model.action_block - 1, 0)), constant_values=-np.inf)


def drive(
    suite: DictConfig, task: Task, agent: Agent, pairs: Pairs, onsets: Int[ndarray, "B"] | None, fault: str | None
) -> tuple[Float[ndarray, "B L+1 E"], Float[ndarray, "B L A"]]:
    """Observations and actions in closed loop; episodes continue after they have reached their goal."""
    policy = ModelPolicy(agent, int(suite.seed))
    policy.reset(GoalEpisodes(task, pairs, agent.model))
    length = int(suite.length)
    begins = np.full(len(pairs), length) if fault is None or onsets is None else onsets  # at the end, hence never
    faulty = Faulty(task, fault or "teleport", begins, pairs.states, np.random.default_rng(0))
    model = agent.model
    observed, acted, active = [true_rows(task, pairs.states, model)], [], np.ones(len(pairs), bool)
    with progress_bar(f"{fault or 'undisturbed'} on {task.name}", length, compiles=True) as bar:
        for step in range(length):
            acted.append(policy.act(observed[-1], active))
            observed.append(rows_of(task, faulty.step(acted[-1]).observations, model))
            bar(step + 1, length)
    return np.stack(observed, axis=1), np.stack(acted, axis=1)


def count_alarms(above: Bool[ndarray, "B C"]) -> int:
    """Number of alarms; one lasts as long as the score of its episode stays above the threshold."""
    return int((above & ~np.pad(above, ((0, 0), (1, 0)))[:, :-1]).sum())


def highest_after_onset(scores: Float[ndarray, "B L"], onsets: Int[ndarray, "B"], within: int) -> Float[ndarray, "B"]:
    """The highest score in the `within` steps from the onset on; column `t` is the score after step `t`."""
    steps = np.arange(scores.shape[1])[None] - onsets[:, None]
    return np.where((steps >= 0) & (steps < within), scores, -np.inf).max(axis=1)


def auroc(healthy: Float[ndarray, "N"], broken: Float[ndarray, "M"]) -> float:
    """Probability that a broken score exceeds a healthy one, ties counting half: Mann and Whitney's U / (N · M)."""
    above, equal = broken[:, None] > healthy[None], broken[:, None] == healthy[None]
    return float((above + 0.5 * equal).mean())
