"""`jepa-mpc bench suite=fine_tuning`: what a model that never saw a reward saves when a reward is learned at last.

For each task and seed: episodes of noise are recorded, a model learns from them without their rewards, and rewards are
then learned online twice, from that model's encoder and dynamics and from nothing. Rows of both go into one table of
learning curves; the environment steps of the recording are not counted in them.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from envs.behaviours import ColouredNoise
from envs.registry import make_reward_task, usual_action_repeat

from ... import build
from ...records import curves
from ...records.curves import CurveRow
from ...shell.overrides import command_line
from ...shell.say import say
from ...training import run as training
from ...training.recording import record
from ..steps import Step, exit_if, run_all
from .suite import complete, learn

logger = logging.getLogger(__name__)

TABLE = "fine_tuning.csv"
FRESH, TUNED = "jepa-mpc", "from reward-free"  # methods


def run(cfg: DictConfig) -> list[CurveRow]:
    """Record and learn what is missing; the rows of the suite are returned.

    Raises:
      ValueError: nothing to measure, or a task or setting that does not exist.
      SystemExit: with code 1 after everything else was done, where a run failed.
    """
    suite, path = cfg.suite, Path(cfg.results) / TABLE
    if not suite.tasks or not suite.seeds:
        raise ValueError("suite.tasks and suite.seeds must each name something to measure")
    steps: list[Step] = []
    wanted: set[curves.Key] = set()
    for seed in suite.seeds:
        for task in suite.tasks:
            steps += _steps(cfg, path, str(task), int(seed), wanted)
    exit_if(run_all(steps))
    settings = {"curves": [path], "at": int(suite.steps), "published": [], "baseline": FRESH}
    say(f"side by side: {command_line('compare', settings)}")
    return [row for row in curves.read(path) if row.key() in wanted]


def _steps(cfg: DictConfig, path: Path, task: str, seed: int, wanted: set[curves.Key]) -> list[Step]:
    """What is missing for one task and seed. Nothing is recorded before a run needs it."""
    suite, name = cfg.suite, f"{task} {seed}"
    stem = Path(cfg.runs) / "fine_tuning" / f"{task.replace('/', '-')}-seed{seed}"
    # Another number of episodes is other data: what was recorded before is not taken for it.
    data, free = Path(f"{stem}-{suite.episodes}-episodes"), Path(f"{stem}-free.safetensors")
    common = ["task=reward", f"task.name={task}", f"seed={seed}", f"runs={cfg.runs}", *suite.settings]
    recording = Step(f"episodes of {name}", "data", partial(_record, task, suite.episodes, seed, data))
    words = ["objective=reward_free", f"online.data={data}", f"online.offline_updates={suite.updates}", f"out={free}"]
    without_rewards = partial(training.run, build.compose("train", *words, *common))
    ahead = Step(f"reward-free {name}", "free", without_rewards, (recording.name,))
    begin = [f"online.start_from={free}", "online.start_parts=[encoder,dynamics]"]
    steps: list[Step] = []
    for method, more in ((FRESH, []), (TUNED, begin)):
        wanted.add((method, task, seed))
        out = Path(f"{stem}-{method.replace(' ', '-')}.safetensors")
        online = [f"online.steps={suite.steps}", f"online.evaluate_every={suite.evaluate_every}"]
        online += [f"online.method={method}", f"online.curves={path}", f"out={out}"]
        recipe = build.compose("train", "objective=td", *online, *more, *common)
        if cfg.redo or not complete(recipe):
            needs = () if method == FRESH else (ahead.name,)
            steps += [recording, ahead] if needs else []
            steps.append(Step(f"{method} {name}", "online", partial(learn, recipe, cfg.redo), needs))
    return steps


def _record(task: str, episodes: int, seed: int, path: Path) -> None:
    if path.exists():
        return
    repeat = usual_action_repeat(task)
    made = make_reward_task(task, repeat)
    decisions = -(-(made.episode_steps or 1000) // repeat)
    taken = record(made, ColouredNoise(), episodes, decisions, seed, path)
    logger.info("%d environment steps of %s in %s", taken, task, path)
