"""`jepa-mpc plan`: plan towards held-out goals with a trained model, with reference rows for comparison.

A model that learned from rewards is measured by its returns (`evaluation/rewards/measure.py`).
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.console import Console

from planning import ActionSpec
from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import REWARD_MODEL, kind_of, load_model

from ..build import goal_tasks
from ..build.agents import agent_for
from ..build.published import PUBLISHED, checkpoint_file
from ..build.recipes import CUSTOM, Paths, file_name, reward_model_file
from ..build.robots import robot_of
from ..cards.card import write_card
from ..evaluation.goals.approach import last_pictures, show_approaches
from ..evaluation.goals.measure import Measured, check_policies, measure, show
from ..evaluation.goals.offline import Offline, offline
from ..evaluation.goals.offline import show as show_offline
from ..pages.figures import to_png
from ..pages.sheet import MOST, sheet
from ..pictures.goal import Target
from ..pictures.memory import load_memory
from ..records.document import rows_of
from ..records.manifest import manifest
from ..records.results import Row, append_csv, write_json
from ..shell.overrides import command_line
from ..shell.say import say
from ..training.data_checks import check_data
from ..training.ensure import chosen_checkpoint
from ..training.given_data import load_for_model
from ..training.labels import require_labels_learned

if TYPE_CHECKING:
    from worldmodel.models.checkpoint import Checkpoint

    from ..evaluation.rewards.measure import ReturnRow

logger = logging.getLogger(__name__)


def run(cfg: DictConfig) -> list[Row] | list[ReturnRow] | Offline:
    """Measure one row per policy and seed; print them pooled, and write them to `runs` and to the CSV `results`.

    A model of a robot's own logs, without a simulator, is judged by what it imagines of held-out ones.
    """
    if (path := _file(cfg)) is not None and kind_of(path) == REWARD_MODEL:
        if cfg.goal is not None or cfg.goal_at is not None:
            raise ValueError(f"{path} learned from rewards and takes no goal: leave goal and goal_at out")
        from ..evaluation.rewards import measure as reward_measure  # it needs MuJoCo
        from ..shell.command_words import words_of_command

        returns = reward_measure.run(path, *words_of_command(path))
        write_card(path, [] if cfg.results is None else [Path(cfg.results)])
        return returns
    if cfg.task.name == CUSTOM and cfg.checkpoint is not None and cfg.data is not None:
        return _offline(cfg)
    check_policies(cfg)
    if cfg.checkpoint is None:
        goal_tasks.make(cfg.task.name, "plan")
    seeds = [int(seed) for seed in cfg.seeds] if cfg.seeds is not None else [int(cfg.seed)]
    if cfg.checkpoint is None:
        log_missing(cfg, seeds)
    _check_goal(cfg)
    found: list[Measured] = []
    for seed in seeds:
        checkpoint = chosen_checkpoint(cfg, seed)
        target = _target(cfg, seed, checkpoint)
        found.append(measure(cfg, checkpoint, seed, target))
        if len(found) == 1 and target is not None and target.observation is not None:
            _draw_ends(cfg, checkpoint, target, found[0])
    rows = [row for each in found for row in each.rows]
    count = f"{cfg.task.name}: {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    if cfg.goal is None:
        show(rows, f"{count}, {'held-out goals' if cfg.goal_at is None else 'one goal'}")
    else:
        names = {name for each in found for name in each.approaches}
        by_policy = {name: [each.approaches[name] for each in found if name in each.approaches] for name in names}
        show_approaches(rows, by_policy, f"{count}: steps to the goal of a picture, by the critic")
    made = manifest(cfg, seeds)
    name = "-".join(filter(None, [file_name(cfg.task.name), "plan", str(cfg.variant)]))
    out = Path(cfg.runs) / f"{name}.json"
    write_json(out, rows, made)
    if cfg.results is not None:
        append_csv(Path(cfg.results), rows, made)
    say(f"rows: {out if cfg.results is None else cfg.results}")
    if cfg.checkpoint != PUBLISHED:
        for seed in seeds:
            write_card(_model(cfg, seed), [out] if cfg.results is None else [out, Path(cfg.results)])
    return rows


def document(cfg: DictConfig, found: list[Row] | list[ReturnRow] | Offline) -> dict[str, Any]:
    """Content of the JSON document: the rows, and of logs without a simulator what they were measured with."""
    return found.as_json() if isinstance(found, Offline) else {"rows": rows_of(found)}


def _offline(cfg: DictConfig) -> Offline:
    """Plan towards goals of held-out logs, in imagination, and write the rows as JSON.

    Raises:
      ValueError: settings that need a simulator, or data that do not fit the model.
    """
    for name in ("goal", "goal_at", "results"):
        if cfg[name] is not None:
            raise ValueError(f"task={CUSTOM} has no simulator, so nothing can be measured for {name}: leave it out")
    checkpoint = load_model(cfg.checkpoint)
    require_labels_learned(checkpoint, cfg.checkpoint)
    data = load_for_model(checkpoint, cfg.data)
    check_data(data, robot_of(checkpoint), cfg.data, owner="the model")
    held = data.last_episodes(int(cfg.held_out))
    robot = robot_of(checkpoint, "action_low", "action_high", "control_period")
    spec = ActionSpec.of(robot["action_low"], robot["action_high"], robot["control_period"])
    found = offline(agent_for(cfg, checkpoint.model, spec), held, int(cfg.episodes), int(cfg.seed))
    title = f"{cfg.checkpoint} on the last {held.episodes} of {data.episodes} episodes in {cfg.data}"
    show_offline(found, Console(), title)
    out = Path(cfg.runs) / f"{Path(cfg.checkpoint).stem}-offline.json"
    made = manifest(cfg, [int(cfg.seed)])
    write_atomically(out, json.dumps({**found.as_json(), "manifest": made}, indent=2) + "\n")
    say(f"rows: {out}")
    return found


def _check_goal(cfg: DictConfig) -> None:
    """Raise ValueError for settings that need a goal's coordinates where nobody gives them."""
    if cfg.goal is None or cfg.goal_at is not None:
        return
    needs = "the row ceiling" if "ceiling" in cfg.policies else "a table of results" if cfg.results is not None else ""
    if needs:
        raise ValueError(
            f"{needs} needs the coordinates of the goal in the picture: add goal_at=[...], or leave it out"
        )


def _target(cfg: DictConfig, seed: int, checkpoint: Checkpoint) -> Target | None:
    """The one goal of all episodes, if the settings give one."""
    path, model = _model(cfg, seed), checkpoint.model
    memory = load_memory(path, model.observation, model.latent_size) if cfg.goal is not None else None
    return Target.of(cfg, goal_tasks.of_model(checkpoint), model.observation, memory, path)


def _model(cfg: DictConfig, seed: int) -> Path:
    """Path of the model that is planned with."""
    if cfg.checkpoint is None:
        return Paths.of(cfg, seed).model
    return checkpoint_file(cfg.checkpoint, cfg.task.name, cfg.observation.sensors)


def _draw_ends(cfg: DictConfig, checkpoint: Checkpoint, target: Target, measured: Measured) -> None:
    """Write the last moments of some episodes beside the picture of the goal."""
    assert target.observation is not None
    task = goal_tasks.of_model(checkpoint)
    rows: Any = [(name, last_pictures(task, episodes[:MOST])) for name, episodes in measured.episodes.items()]
    out = Path(cfg.runs) / f"{file_name(cfg.task.name)}-plan-goal.png"
    figure = sheet(f"{cfg.task.name}: the last moment of each episode", target.pictures, rows)
    write_atomically(out, to_png(figure))
    say(f"last moments beside the goal: {out}")


def log_missing(cfg: DictConfig, seeds: list[int]) -> None:
    """Log which models are trained first, and an estimate of the time if another model gives one."""
    files = {seed: Paths.of(cfg, seed).model for seed in seeds}
    missing = [seed for seed, file in files.items() if not file.exists()]
    if not missing:
        return
    times = [load_model(file).metadata.get("train_seconds") for file in files.values() if file.exists()]
    known = [float(seconds) for seconds in times if seconds is not None]
    minutes = f"about {max(1, round(len(missing) * max(known) / 60))} min" if known else "some minutes for each"
    logger.info(
        "%s has no model of seed %s: trained first, which takes %s; checkpoint=FILE plans with one that is there",
        cfg.runs,
        ", ".join(map(str, missing)),
        minutes,
    )


def _file(cfg: DictConfig) -> Path | None:
    """Path of the checkpoint in the settings; None for a shipped one or one that is trained if missing."""
    if cfg.checkpoint is None:
        name = str(cfg.task.name)
        return _learned_from_rewards(cfg, name) if goal_tasks.has_rewards(name) else None
    return None if str(cfg.checkpoint) == PUBLISHED else Path(cfg.checkpoint)


def _learned_from_rewards(cfg: DictConfig, task: str) -> Path:
    """Path of the task's model from `jepa-mpc train`, under `cfg.runs`.

    Raises:
      FileNotFoundError: there is no model yet.
    """
    path = reward_model_file(cfg.runs, task, int(cfg.seed), cfg.observation.sensors)
    if not path.exists():
        learn = command_line("train", {"method": "td", "task": task})
        raise FileNotFoundError(f"nothing was learned on {task} yet, as {path} is missing: begin with `{learn}`")
    return path
