"""`jepa-mpc bench suite=fine_tuning`: steps that reward-free pretraining saves in learning from rewards.

For each task and seed, episodes of noise are recorded and a model is pretrained on them without their rewards. Rewards
are then learned online twice: from that model's encoder and dynamics, and from scratch. The rows of both go into one
table of learning curves, which does not count the environment steps of the recording.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from envs.behaviours import ColouredNoise
from envs.registry import make_reward_task, usual_action_repeat

from ... import build
from ...build.recipes import file_name
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...records import curves
from ...records.curves import CurveRow
from ...shell.overrides import command_line
from ...shell.say import say
from ...training import run as training
from ...training.recording import record
from ..missing import missing
from .suite import complete, key_of, learning_step

logger = logging.getLogger(__name__)

TABLE = "fine_tuning.csv"
FRESH, TUNED = "jepa-mpc", "from reward-free"  # methods


def run(cfg: DictConfig) -> list[CurveRow]:
    """Record and train the missing runs; return the rows of the suite.

    Raises:
      ValueError: there is nothing to measure, or a task or setting does not exist.
      SystemExit: with code 1, once all other runs are done, if a run failed.
    """
    suite, path = cfg.suite, Path(cfg.results) / TABLE
    if not suite.tasks or not suite.seeds:
        raise ValueError("suite.tasks and suite.seeds must each name something to measure")
    runs = [each for seed in suite.seeds for task in suite.tasks for each in _runs(cfg, path, str(task), int(seed))]
    todo = missing(runs, lambda each: complete(each.recipe), cfg.redo, "runs")
    exit_on_failure(run_steps(cfg, __name__, [step for each in todo for step in each.steps(cfg.redo)]))
    settings = {"curves": [path], "at": int(suite.steps), "published": [], "baseline": FRESH}
    say(f"side by side: {command_line('compare', settings)}")
    keys = {key_of(each.recipe) for each in runs}
    return [row for row in curves.read(path) if row.key() in keys]


@dataclass(frozen=True)
class _Run:
    """A run for one learning curve, and the steps that it depends on."""

    recipe: DictConfig
    before: tuple[Step, ...]

    def steps(self, restart: bool) -> list[Step]:
        return [*self.before, learning_step(self.recipe, restart, tuple(step.name for step in self.before[-1:]))]


def _runs(cfg: DictConfig, path: Path, task: str, seed: int) -> list[_Run]:
    """The two runs of one task and seed: from scratch, and from the reward-free model."""
    suite, name = cfg.suite, f"{task} {seed}"
    stem = Path(cfg.runs) / "fine_tuning" / f"{file_name(task)}-seed{seed}"
    # The number of episodes is part of the name, since it makes another dataset.
    data, free = Path(f"{stem}-{suite.episodes}-episodes"), Path(f"{stem}-free.safetensors")
    common = ["task=reward", f"task.name={task}", f"seed={seed}", f"runs={cfg.runs}", *suite.settings]
    recording = Step(f"episodes of {name}", "data", partial(_record, task, suite.episodes, seed, data))
    words = ["method=td", "objective=reward_free", f"online.data={data}", f"out={free}"]
    words += [f"online.offline_updates={suite.updates}"]
    without_rewards = partial(training.run, build.compose("train", *words, *common))
    pretraining = Step(f"reward-free {name}", "free", without_rewards, (recording.name,))
    begin = [f"online.start_from={free}", "online.start_parts=[encoder,dynamics]"]
    runs = []
    for method, more, before in ((FRESH, [], ()), (TUNED, begin, (recording, pretraining))):
        out = Path(f"{stem}-{method.replace(' ', '-')}.safetensors")
        online = [f"online.steps={suite.steps}", f"online.evaluate_every={suite.evaluate_every}"]
        online += [f"online.method={method}", f"online.curves={path}", f"out={out}"]
        runs.append(_Run(build.compose("train", "method=td", *online, *more, *common), before))
    return runs


def _record(task: str, episodes: int, seed: int, path: Path) -> None:
    if path.exists():
        return
    repeat = usual_action_repeat(task)
    made = make_reward_task(task, repeat)
    decisions = -(-(made.episode_steps or 1000) // repeat)
    taken = record(made, ColouredNoise(), episodes, decisions, seed, path)
    logger.info("%d environment steps of %s in %s", taken, task, path)
