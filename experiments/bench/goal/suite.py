"""Success on goal tasks, for all tasks, planners and seeds, with floors, baselines and ablations.

Finished datasets, models, rows and single episodes of a row are reused. A run that was killed therefore resumes where
it stopped, and a step that fails is reported while the others continue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
from omegaconf import DictConfig, OmegaConf

import envs
from envs.goal_parts import asking
from worldmodel.models.checkpoint import Checkpoint

from ... import build
from ...baselines import gcbc, sac_her
from ...build import goal_tasks
from ...build.recipes import Paths, file_name, recipe
from ...engine.artifacts import TableFile
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...evaluation.goals.measure import OF_MODEL, PLANNING, SIMULATED, Learned, make_policy, make_row, timed
from ...evaluation.goals.protocols import Pairs, already_solved
from ...evaluation.goals.rollout import GoalEpisodes
from ...evaluation.policy import Policy
from ...records.manifest import manifest
from ...records.results import IDENTITY, Row, append_csv, read_csv, read_manifests
from ...shell.progress import progress_bar
from ...training import cloning
from ...training.ensure import ensure_model
from ..data_steps import data_steps
from ..missing import missing
from . import points as goal_points
from . import table as goal_table
from .outcomes import Outcomes
from .points import BASELINES, START, Point, Recipe, pairs_of

logger = logging.getLogger(__name__)

TOGETHER = 25  # episodes that advance together; one for simulated policies


def run(cfg: DictConfig) -> list[Row]:
    """Measure the rows that the table lacks, write each immediately, and print the whole table.

    A stored row counts if it has the same settings and at least as many episodes.

    Raises:
      ValueError: a policy, protocol, task or setting does not exist.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    goal_points.check(cfg)
    recipes = goal_points.recipes(cfg)
    points = list(goal_points.points(cfg, recipes))
    path = Path(cfg.results) / f"{cfg.suite.name}.csv"
    todo = to_measure(points, path, cfg.redo)
    made = {
        **manifest(cfg, sorted({point.seed for point in points})),
        "settings": {point.key: point.settings for point in points},
    }
    table = TableFile(path.name, Row, IDENTITY, digits=None)
    failed = run_steps(cfg, __name__, steps(Suite(cfg, recipes, path, made), todo), table)
    identities = {point.identity() for point in points}
    rows = [row for row in (read_csv(path) if path.exists() else []) if row.identity() in identities]
    goal_table.show(rows)
    exit_on_failure(failed)
    return rows


class Suite:
    """Data, models, baselines and rows of one run of the suite, each created if missing."""

    def __init__(self, cfg: DictConfig, recipes: dict[tuple[str, str, str], Recipe], path: Path, made: dict[str, Any]):
        self.cfg = cfg
        self.path = path
        self.made = made
        self._recipes = recipes
        self.pairs = lru_cache(maxsize=4)(pairs_of)
        self.model = lru_cache(maxsize=1)(self._model)
        self._task = ""

    def model_file(self, each: Recipe, seed: int) -> Path:
        """The file of the recipe's model."""
        return each.model_file(seed, self._recipes[each.task, each.observation, ""])

    def _model(self, each: Recipe, seed: int) -> Checkpoint:
        """The recipe's model, trained if missing."""
        return ensure_model(each.cfg, seed, self.model_file(each, seed))

    def baseline_file(self, name: str, each: Recipe, seed: int) -> Path:
        """The file of a baseline, next to the default recipe's model."""
        model = Paths.of(each.cfg, seed).model
        return model.with_name(f"{model.stem}-{name}.safetensors")

    def baseline_recipe(self, name: str, each: Recipe, seed: int) -> dict[str, Any]:
        """All settings that determine what the baseline learns, as JSON."""
        settings = dict(self.cfg.suite.baselines[name])
        if name == "gcbc":
            return cloning.cloning_recipe(each.cfg, seed, settings)
        data = {"task": recipe(each.cfg, seed)["task"], "collection": OmegaConf.to_container(each.cfg.collection)}
        return {**data, "seed": seed, name: settings}

    def train_baseline(self, name: str, each: Recipe, seed: int) -> None:
        """Train the baseline unless its file exists."""
        path = self.baseline_file(name, each, seed)
        settings = dict(self.cfg.suite.baselines[name])
        if path.exists():
            return
        if name == "gcbc":
            cloning.train(each.cfg, seed, settings, path)
        else:
            config = build.fill(sac_her.SacHerConfig, settings, "suite.baselines.sac_her")
            steps = int(each.cfg.collection.episodes) * int(each.cfg.collection.steps)
            sac_her.train_to_file(
                path, envs.make(each.task), steps, seed, config, self.baseline_recipe(name, each, seed)
            )

    def outcomes(self, point: Point) -> Outcomes:
        """Outcomes of a row's episodes; those of policies that plan may be measured in shards, the others are quick."""
        words = "-".join(file_name(each) for each in point.identity() if each not in ("", None))
        path = Path(self.cfg.runs) / "suite" / f"{self.cfg.suite.name}-{words}.json"
        size = 1 if point.policy in SIMULATED else TOGETHER
        shards = int(self.cfg.engine.evaluation_shards) if point.policy in PLANNING else 1
        return Outcomes(path, point.settings, point.episodes, size, shards)

    def measure_shard(self, point: Point, part: range) -> None:
        """Measure some episodes of a row and leave their outcomes in a file."""
        task, pairs = self._episodes(point)
        policy, _, _, eyes = self._policy(point, task)
        with progress_bar(f"{point.policy} on {task.name}", len(part), compiles=True) as bar:
            self.outcomes(point).measure(part, task, policy, pairs, bar, eyes)

    def measure(self, point: Point) -> None:
        """Measure one row and write it."""
        task, pairs = self._episodes(point)
        names: Any = {"task": task.name, "variant": point.recipe.variant, "seed": point.seed}
        names["observation"] = point.recipe.observation
        if point.policy == START:
            row = make_row(pairs, START, already_solved(task, pairs), **names)
            append_csv(self.path, [row], self.made)
            return
        policy, learned, agent, eyes = self._policy(point, task)
        outcomes = self.outcomes(point)
        with progress_bar(f"{point.policy} on {task.name}", len(pairs), compiles=True) as bar:
            solved = outcomes.measure_all(task, policy, pairs, bar, eyes)
        plans = int(self.cfg.suite.plans)
        times = timed(task, agent, policy, pairs, plans, eyes) if plans else None
        row = make_row(pairs, point.policy, solved, point.planner_name, learned, times, **names)
        append_csv(self.path, [row], self.made)
        outcomes.path.unlink(missing_ok=True)

    def _episodes(self, point: Point) -> tuple[envs.Task, Pairs]:
        """The task of a row, and its pairs."""
        task, most = goal_tasks.of(point.recipe.cfg), max(self.cfg.suite.episodes, self.cfg.suite.simulated_episodes)
        if task.name != self._task:  # compiled programs of other tasks accumulate
            jax.clear_caches()
            self._task = task.name
        pairs = self.pairs(point.recipe, point.protocol, int(most), point.seed, point.goal_offset).first(point.episodes)
        return asking(task, pairs.parts), pairs

    def _policy(self, point: Point, task: envs.Task) -> tuple[Policy[GoalEpisodes], Learned | None, Any, Any]:
        """The policy of a row, what it learned from, its agent, and the model that embeds pictures for it."""
        if point.policy in BASELINES:
            expected = self.baseline_recipe(point.policy, point.recipe, point.seed)
            file = self.baseline_file(point.policy, point.recipe, point.seed)
            read = gcbc.load if point.policy == "gcbc" else sac_her.load
            policy, known, eyes = read(file, task, expected)
            return policy, Learned("", known["env_steps"], known["train_seconds"], known["parameters"]), None, eyes
        if point.policy not in (*OF_MODEL, *PLANNING):
            return make_policy(point.policy, task, None, point.seed), None, None, None
        checkpoint = self.model(point.recipe, point.seed)
        agent = build.agent(point.cfg, checkpoint.model, task)
        learned = Learned.of(checkpoint) if point.policy in OF_MODEL else None
        model = checkpoint.model if point.policy in OF_MODEL else None
        return make_policy(point.policy, task, agent, point.seed), learned, agent, model


def steps(suite: Suite, todo: Sequence[Point]) -> list[Step]:
    """Steps for the rows of `todo` and their prerequisites, each before the first row that needs it."""
    found: dict[str, Step] = {}

    def add(
        name: str, kind: str, run: Callable[[], object], needs: Sequence[str] = (), reads: Sequence[Path] = ()
    ) -> list[str]:
        found.setdefault(name, Step(name, kind, run, tuple(needs), tuple(reads)))
        return [*needs, name]

    for point in todo:
        each, seed, needs = point.recipe, point.seed, list[str]()
        seen = "" if each.observation == goal_points.STATE else f" from {each.observation}"
        where = f"of {each.task}{seen}, seed {seed}"
        of_model, of_data = point.policy in (*OF_MODEL, *PLANNING), point.policy == "gcbc"
        file = suite.model_file(each, seed) if of_model else suite.baseline_file(point.policy, each, seed)
        data = Paths.of(each.cfg, seed).data
        if (of_model or of_data) and not file.exists() and not data.exists():
            collect = data_steps(suite.cfg, f"data {where}", each.cfg, seed)
            found |= {step.name: step for step in collect if step.name not in found}
            needs = [f"data {where}"]
        if of_model and not file.exists():
            variant = each.variant if file != Paths.of(each.cfg, seed).model else ""
            needs = add(f"{variant} model {where}".strip(), "model", partial(suite.model, each, seed), needs, [data])
        if point.policy in BASELINES and not file.exists():
            train = partial(suite.train_baseline, point.policy, each, seed)
            needs = add(f"{point.policy} {where}", point.policy, train, needs, [data])
        learned = [file] if of_model or point.policy in BASELINES else []
        row = Step(str(point), f"rows of {point.policy}", partial(suite.measure, point), tuple(needs), tuple(learned))
        found |= {step.name: step for step in suite.outcomes(point).steps(row, partial(suite.measure_shard, point))}
    return list(found.values())


def to_measure(points: Sequence[Point], path: Path, redo: bool) -> list[Point]:
    """The points without a row at `path` with the same settings and enough episodes; all of them with `redo`."""
    rows = {row.identity(): row for row in read_csv(path)} if path.exists() else {}
    manifests = read_manifests(path)

    def is_measured(point: Point) -> bool:
        row = rows.get(point.identity())
        stored = manifests.get(point.identity(), {}).get("settings", {}).get(point.key) or ""
        return row is not None and point.same_settings(stored) and (row.episodes or 0) >= point.episodes

    return missing(points, is_measured, redo, "rows")
