"""`jepa-mpc bench suite=rewards`: what each method learns on each task, as learning curves in one table.

A run that is complete in the table is left as it is. One that was interrupted goes on, or begins anew where its method
cannot; a run that fails is named while the others go on. Several processes may fill one table, each with its own tasks.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import jax
from omegaconf import DictConfig

from ... import build
from ...records import curves
from ...records.curves import CurveRow
from ...shell.overrides import command_line
from ...shell.say import say
from ...training import run as training
from ..steps import Step, exit_if, run_all

logger = logging.getLogger(__name__)

TABLE = "dmc_curves.csv"


def run(cfg: DictConfig) -> list[CurveRow]:
    """Train what is missing, one after the other; the rows of the suite are returned.

    Raises:
      ValueError: nothing to measure, or a method, setting or task that does not exist.
      SystemExit: with code 1 after everything else was done, where a run failed.
    """
    suite, path = cfg.suite, Path(cfg.results) / TABLE
    if not suite.methods or not suite.tasks or not suite.seeds:
        raise ValueError("suite.methods, suite.tasks and suite.seeds must each name something to measure")
    steps, wanted = [], set()
    for seed in suite.seeds:
        for task in suite.tasks:
            for objective in suite.methods:
                words = [f"objective={objective}", "task=reward", f"task.name={task}", f"seed={seed}"]
                words += [f"runs={cfg.runs}", f"online.curves={path}", *suite.settings.get(objective, [])]
                recipe = build.compose("train", *words)
                key = key_of(recipe)
                recipe.out = str(
                    Path(cfg.runs) / "rewards" / f"{'-'.join(map(str, key)).replace('/', '-')}.safetensors"
                )
                wanted.add(key)
                if cfg.redo or not complete(recipe):
                    steps.append(Step(" ".join(map(str, key)), key[0], partial(learn, recipe, cfg.redo)))
    logger.info("%d of %d runs are measured already", len(wanted) - len(steps), len(wanted))
    exit_if(run_all(steps))
    say(f"side by side: {command_line('compare', {'curves': [path]})}")
    return [row for row in curves.read(path) if row.key() in wanted]


def key_of(recipe: DictConfig) -> curves.Key:
    """Of the run that a recipe's rows belong to."""
    method = recipe.baseline.algorithm if "baseline" in recipe else recipe.online.method
    return str(method), str(recipe.task.name), int(recipe.seed)


def complete(recipe: DictConfig) -> bool:
    """Whether a recipe's run is in its table until the end."""
    key, steps = key_of(recipe), int(recipe.online.steps)
    return any(row.key() == key and row.env_steps >= steps for row in curves.read(Path(recipe.online.curves)))


def learn(recipe: DictConfig, anew: bool) -> None:
    """Learn with a recipe, whatever model lies where its own will; `anew`, without what a run left behind."""
    jax.clear_caches()  # compiled programs of the other tasks
    if anew:
        curves.discard(Path(recipe.online.curves), key_of(recipe))
        Path(recipe.out).with_suffix(".training.safetensors").unlink(missing_ok=True)
    Path(recipe.out).unlink(missing_ok=True)  # a model whose curve is not in the table
    training.run(recipe)
