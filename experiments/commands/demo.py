"""`jepa-mpc demo`: the whole workflow from scratch, and one page with the results."""

from __future__ import annotations

import json
import resource
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import envs
from envs.task import PlanarView
from worldmodel.data.frame_windows import FrameWindows
from worldmodel.data.windows import WindowSampler
from worldmodel.diagnostics.health import diagnose
from worldmodel.models.checkpoint import Checkpoint
from worldmodel.models.fingerprint import differing

from .. import build
from ..bench.shipped import FOLDER, machine_of
from ..build import goal_tasks
from ..build.defaults import defaults
from ..build.recipes import PLANNING, Paths, Source, settings
from ..evaluation.goals.measure import Measured, check_policies, measure, show
from ..evaluation.goals.protocols import selection
from ..evaluation.goals.rollout import run_episodes
from ..evaluation.policy import ModelPolicy
from ..pages.preview import outcome, preview_report
from ..pages.report import write_report
from ..pages.video import film
from ..records.episodes import EpisodeRecord
from ..records.health import Health
from ..records.manifest import manifest
from ..records.report import Report
from ..records.results import Row, write_json
from ..shell.overrides import command_line
from ..shell.say import say
from ..shell.shadowing import PROGRAM
from ..training.ensure import ensure_data, ensure_model, visited
from ..training.given_data import load_given
from ..training.health import judged
from ..training.preview import Preview, Unfinished

SEEDS = 3  # in the table of the second command
RECORD = FOLDER / "demo.json"  # rows and manifest of a measured run
SHOWN = 4  # settings that differ from those of the measured run
# Settings that the time of a run depends on.
TIMED = (
    *("task", "behaviour", "collection", "model", "objective", "training", *PLANNING),
    *("policies", "episodes", "simulated_episodes", "latency_plans"),
)
CURVES = ("step", "loss", "prediction", "sigreg", "inverse", "distance", "horizon_ratio")


def run(cfg: DictConfig) -> list[Row]:
    """Collect, train, plan and report; finished stages of the same recipe are reused."""
    check_policies(cfg)
    goal_tasks.make(cfg.task.name, "demo")
    cfg = without_oracle(cfg)
    runs, seed = Path(cfg.runs), int(cfg.seed)
    reused = finished(cfg, seed)
    for line in (expected_time(cfg), *(f"{part} is there already and used again: {path}" for part, path in reused)):
        if line:
            say(line)
    began = time.perf_counter()
    data = ensure_data(cfg, seed)
    checkpoint = ensure_model(cfg, seed, preview=_preview(cfg, seed))
    measured = measure(cfg, checkpoint, seed)
    show(measured.rows, f"{cfg.task.name}: held-out goals")

    made = manifest(cfg, [seed])
    parts = [part for part, _ in reused]
    made["run"] = {"wall_s": round(time.perf_counter() - began, 1), "peak_mib": peak_mib(), "reused": parts}
    write_json(runs / "results.json", measured.rows, made)
    report = _report(cfg, checkpoint, data, measured, made)
    page = write_report(runs / "report.html", report)
    say(f"report: {page}\nrows: {runs / 'results.json'}\nplan with it again:")
    for line in next_commands(cfg, Paths.of(cfg, seed).model):
        say(f"  {line}")
    say(_note(checkpoint))
    if hint := how_to_call():
        say(hint)
    say(f"{time.perf_counter() - began:.0f} s in all, at most {peak_mib():,} MiB of memory")
    return measured.rows


def without_oracle(cfg: DictConfig) -> DictConfig:
    """Leave the oracle out where it would draw a picture of each imagined moment, which takes hours; say so."""
    if cfg.observation.sensors is None or "oracle" not in cfg.policies:
        return cfg
    say("the row oracle is left out: it would draw a picture of each imagined moment, which takes hours")
    kept = [name for name in cfg.policies if name != "oracle"]
    return OmegaConf.merge(cfg, {"policies": kept})  # type: ignore[return-value]  # a mapping stays one


def finished(cfg: DictConfig, seed: int) -> list[tuple[str, Path]]:
    """Parts of the run that exist already, and their paths."""
    paths = Paths.of(cfg, seed)
    parts = [("the dataset", paths.data)] if cfg.data is None else []
    parts += [("the model", paths.model)] if paths.model.exists() else [("a part of the training", paths.training)]
    return [(part, path) for part, path in parts if path.exists()]


def expected_time(cfg: DictConfig, record: Path = RECORD) -> str:
    """Measured time of the run that ships with jepa-mpc, and how its settings differ; empty without a whole run.

    Args:
      cfg: settings of this run.
      record: rows and manifest of the measured one.
    """
    made = json.loads(record.read_text())["manifest"] if record.is_file() else {}
    if "run" not in made or made["run"].get("reused"):
        return ""
    took = f"took {made['run']['wall_s']:.0f} s on {machine_of(made)} ({Path(*record.parts[-3:])})"
    here = _timed(settings(cfg))
    was, now = differing(_timed(made["config"]), here, defaults(here))
    if "task" in was:
        return f"a whole run with task={made['config']['task']['name']} {took}; {cfg.task.name} was not timed"
    if not now:
        return f"a whole run with these settings {took}"
    different = sorted(_dotted(now))
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    return f"a whole run with other settings {took}; what differs here: {', '.join(different[:SHOWN])}{more}"


def _timed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run that its time depends on; those of early stopping only where it is on."""
    stopping = config.get("early_stop") or {}
    return {name: config[name] for name in TIMED if name in config} | (
        {"early_stop": stopping} if stopping.get("every") else {}
    )


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Whole keys and values of nested settings."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value}"


def _preview(cfg: DictConfig, seed: int) -> Preview | None:
    return None if cfg.preview is None else Preview(int(cfg.preview), partial(show_unfinished, cfg, seed))


def show_unfinished(cfg: DictConfig, seed: int, unfinished: Unfinished) -> None:
    """Plan one episode with a model that is still being trained, say what happened, and write it as the report page.

    The episode is the first one of a batch of the size of the evaluation's, which then needs no compilation.
    """
    task = goal_tasks.of(cfg)
    agent = build.agent(cfg, unfinished.model, task)
    pairs = selection(task, int(cfg.episodes), seed)
    policy = ModelPolicy(agent, seed)
    (episode,) = run_episodes(task, policy, pairs, imagine_every=agent.planner.horizon // 2, count=1, model=agent.model)
    when = (
        f"after {unfinished.seconds:.0f} s of training (update {unfinished.update:,} of {unfinished.total:,}) "
        f"a first planned episode {outcome(task, episode)}"
    )
    page = Path(cfg.runs) / "report.html"
    notice = (
        f"This is a preview of an unfinished model: {when}. Training goes on; reload this page once {PROGRAM} demo has "
        "ended, which puts the final report in its place."
    )
    history = _curves(unfinished.history)
    write_report(page, preview_report(task, episode, notice, history, manifest(cfg, [seed])))
    say(f"preview: {when}; open {page} while training goes on")


def how_to_call() -> str:
    """Instructions for calling the command if it is not on PATH, as after `make demo`; empty if it is."""
    folder = Path(sys.executable).parent
    if shutil.which(PROGRAM) or not (folder / PROGRAM).is_file():
        return ""
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return (
        f"{PROGRAM} is not on this shell's PATH: run `source {shlex.quote(str(shown / 'activate'))}` first, or call it "
        f"as {shlex.quote(str(shown / PROGRAM))}"
    )


def peak_mib() -> int:
    """Peak memory of this process, in MiB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (2**20 if sys.platform == "darwin" else 2**10))


def _report(
    cfg: DictConfig, checkpoint: Checkpoint, data: Source, measured: Measured, made: dict[str, object]
) -> Report:
    task, model_file = envs.make(cfg.task.name), Paths.of(cfg, int(cfg.seed)).model
    episodes = measured.episodes.get("model", [])
    video, note = film(cfg.task.name, _showcase(episodes, int(cfg.video_episodes)), task.control_period)
    return Report(
        title=f"jepa-mpc: {cfg.task.name}",
        task=cfg.task.name,
        summary=(
            f"A world model learned from {checkpoint.metadata['env_steps']:,} steps of simulated experience, without "
            "rewards and without reconstructing its sensors, plans towards goals it has never seen."
        ),
        rows=[vars(row) for row in measured.rows],
        history=_curves(checkpoint.metadata["history"]),
        health=_health(cfg, checkpoint, data),
        scene=task.scene() if isinstance(task, PlanarView) else None,
        episodes=[episode for records in measured.episodes.values() for episode in records],
        coverage=visited(task, data),
        video=video,
        video_note=note,
        manifest=made,
        steps=next_steps(cfg, model_file, checkpoint, measured),
        control_period=task.control_period,
    )


def _curves(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    return [{name: entry[name] for name in CURVES if name in entry} for entry in history]


def next_commands(cfg: DictConfig, model: Path) -> list[str]:
    """Commands to plan again with the model, and with further seeds, with the settings of this run."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    own = ("task", "task.name", "runs", "seed", "policies", "video_episodes", "preview")
    chosen = [word for word in words if word.partition("=")[0].lstrip("+") not in own]
    seeds = {"task": cfg.task.name, "seeds": [int(cfg.seed) + number for number in range(SEEDS)], "runs": cfg.runs}
    return [
        command_line("plan", {"task": cfg.task.name, "checkpoint": model}, chosen),
        command_line("plan", seeds, chosen),
    ]


def next_steps(cfg: DictConfig, model: Path, checkpoint: Checkpoint, measured: Measured) -> list[tuple[str, str]]:
    """What to do after this run: reason and command.

    Args:
      cfg: settings of this run.
      model: file of the trained model.
      checkpoint: its content.
      measured: rows and episodes of this run.
    """
    again, seeds = next_commands(cfg, model)
    chosen = {"task": cfg.task.name, "checkpoint": model}
    failed = sum(not episode.success for episode in measured.episodes.get("model", []))
    steps = [(f"{failed} recorded episode{'' if failed == 1 else 's'} failed: whose fault are they?", "diagnose")]
    made = [(reason, command_line(command, chosen)) for reason, command in steps if failed]
    made += [
        ("Plan again with this model, with settings of your own", again),
        (f"A success rate of one training says little. {_note(checkpoint)}", seeds),
        (
            "Watch it in a simulator that runs in real time, and move its goal",
            f"{command_line('drive', chosen)} view=true",
        ),
        (
            "Write the model and its planner to one file for a robot",
            command_line("export", {**chosen, "out": model.with_suffix(".bundle")}),
        ),
    ]
    return made


def _note(checkpoint: Checkpoint) -> str:
    minutes = max(1, round((SEEDS - 1) * checkpoint.metadata["train_seconds"] / 60))
    return (
        f"This first collects data for and trains the models of {SEEDS - 1} further seeds, which takes "
        f"about {minutes} min more on this machine."
    )


def _showcase(episodes: list[EpisodeRecord], count: int) -> list[EpisodeRecord]:
    """Episodes to show: the longest successes and one failure, if any; more failures if there are few successes."""
    failed = [episode for episode in episodes if not episode.success]
    reached = sorted((episode for episode in episodes if episode.success), key=lambda each: -each.steps)
    shown = reached[: count - min(1, len(failed))]
    return [*shown, *failed[: count - len(shown)]]


def _health(cfg: DictConfig, checkpoint: Checkpoint, data: Source) -> list[Health]:
    config, known = checkpoint.model.config, load_given(data)
    kind = FrameWindows if known.spec.pictures else WindowSampler
    sampler = kind.of(known, config.history, config.train_blocks, config.action_block, older=config.older)
    values = diagnose(checkpoint.model, sampler, jax.random.key(int(cfg.seed)))
    return judged(values)
