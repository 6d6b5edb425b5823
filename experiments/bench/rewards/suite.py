"""`jepa-mpc bench suite=rewards`: learning curves of each method on each task, in one table.

A run that is complete in the table is skipped. An interrupted one resumes, or restarts if its method cannot resume; a
run that fails is reported while the others continue. Several processes may fill one table, each with its own tasks.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
from omegaconf import DictConfig

from ... import build
from ...build.recipes import file_name
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...records import curves
from ...records.curves import CurveRow
from ...shell.overrides import command_line
from ...shell.say import say
from ...training import run as training
from ..missing import missing

TABLE = "dmc_curves.csv"


def run(cfg: DictConfig) -> list[CurveRow]:
    """Train the missing runs one after the other; return the rows of the suite.

    Raises:
      ValueError: there is nothing to measure, or a method, setting or task does not exist.
      SystemExit: with code 1, once all other runs are done, if a run failed.
    """
    suite, path = cfg.suite, Path(cfg.results) / TABLE
    if not suite.methods or not suite.tasks or not suite.seeds:
        raise ValueError("suite.methods, suite.tasks and suite.seeds must each name something to measure")
    recipes = []
    for seed in suite.seeds:
        for task in suite.tasks:
            for method in suite.methods:
                words = [f"method={method}", "task=reward", f"task.name={task}", f"seed={seed}"]
                words += [f"runs={cfg.runs}", f"online.curves={path}", *suite.settings.get(method, [])]
                recipe = build.compose("train", *words)
                name = file_name("-".join(map(str, key_of(recipe))))
                recipe.out = str(Path(cfg.runs) / "rewards" / f"{name}.safetensors")
                recipes.append(recipe)
    todo = missing(recipes, complete, cfg.redo, "runs")
    exit_on_failure(run_steps(cfg, __name__, [learning_step(recipe, cfg.redo) for recipe in todo]))
    keys = {key_of(recipe) for recipe in recipes}
    say(f"side by side: {command_line('compare', {'curves': [path]})}")
    return [row for row in curves.read(path) if row.key() in keys]


def learning_step(recipe: DictConfig, restart: bool, needs: tuple[str, ...] = ()) -> Step:
    """The step that trains a recipe; with `restart`, after discarding what an earlier run left."""
    key = key_of(recipe)
    return Step(" ".join(map(str, key)), key[0], partial(learn, recipe, restart), needs)


def key_of(recipe: DictConfig) -> curves.Key:
    """Key of a recipe's run in the table."""
    method = recipe.online.get("method") or recipe.method  # sac and ppo have no online.method
    return str(method), str(recipe.task.name), int(recipe.seed)


def complete(recipe: DictConfig) -> bool:
    """Whether a recipe's run is in its table up to the last step."""
    key, steps = key_of(recipe), int(recipe.online.steps)
    return any(row.key() == key and row.env_steps >= steps for row in curves.read(Path(recipe.online.curves)))


def learn(recipe: DictConfig, restart: bool) -> None:
    """Train a recipe and replace its model file; with `restart`, discard what an earlier run left."""
    jax.clear_caches()  # compiled programs of the other tasks
    if restart:
        curves.discard(Path(recipe.online.curves), key_of(recipe))
        Path(recipe.out).with_suffix(".training.safetensors").unlink(missing_ok=True)
    Path(recipe.out).unlink(missing_ok=True)  # a model without a curve in the table
    training.run(recipe)
