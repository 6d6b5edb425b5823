"""`jepa-mpc demo`: the whole workflow from scratch, and one page with the results."""

from __future__ import annotations

import resource
import shlex
import shutil
import sys
import time
from pathlib import Path

import jax
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import envs
from envs.task import PlanarView
from worldmodel.data.dataset import load
from worldmodel.data.windows import WindowSampler
from worldmodel.diagnostics.health import diagnose
from worldmodel.models.checkpoint import Checkpoint

from ..build import goal_tasks
from ..build.recipes import Paths
from ..evaluation.goals.measure import Measured, check_policies, measure, show
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
from ..training.health import judged

SEEDS = 3  # in the table of the second command
CURVES = ("step", "loss", "prediction", "sigreg", "inverse", "distance", "horizon_ratio")


def run(cfg: DictConfig) -> list[Row]:
    """Collect, train, plan and report; finished stages of the same recipe are reused."""
    check_policies(cfg)
    goal_tasks.make(cfg.task.name, "demo")
    began = time.perf_counter()
    runs, seed = Path(cfg.runs), int(cfg.seed)
    data = ensure_data(cfg, seed)
    checkpoint = ensure_model(cfg, seed)
    measured = measure(cfg, checkpoint, seed)
    show(measured.rows, f"{cfg.task.name}: held-out goals")

    made = manifest(cfg, [seed])
    made["run"] = {"wall_s": round(time.perf_counter() - began, 1), "peak_mib": peak_mib()}
    write_json(runs / "results.json", measured.rows, made)
    report = _report(cfg, checkpoint, data, measured, made)
    page = write_report(runs / "report.html", report)
    say(f"report: {page}\nrows: {runs / 'results.json'}\nplan with it again:")
    for line in report.commands:
        say(f"  {line}")
    say(report.commands_note)
    if hint := how_to_call():
        say(hint)
    say(f"{time.perf_counter() - began:.0f} s in all, at most {peak_mib():,} MiB of memory")
    return measured.rows


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
    cfg: DictConfig, checkpoint: Checkpoint, data: Path | str, measured: Measured, made: dict[str, object]
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
        history=[{name: entry[name] for name in CURVES if name in entry} for entry in checkpoint.metadata["history"]],
        health=_health(cfg, checkpoint, data),
        scene=task.scene() if isinstance(task, PlanarView) else None,
        episodes=[episode for records in measured.episodes.values() for episode in records],
        coverage=visited(task, data),
        video=video,
        video_note=note,
        manifest=made,
        commands=next_commands(cfg, model_file),
        commands_note=_note(checkpoint),
        control_period=task.control_period,
    )


def next_commands(cfg: DictConfig, model: Path) -> list[str]:
    """Commands to plan again with the model, and with further seeds, with the settings of this run."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    own = ("task", "task.name", "runs", "seed", "policies", "video_episodes")
    settings = [word for word in words if word.partition("=")[0].lstrip("+") not in own]
    seeds = {"task": cfg.task.name, "seeds": [int(cfg.seed) + number for number in range(SEEDS)], "runs": cfg.runs}
    return [
        command_line("plan", {"task": cfg.task.name, "checkpoint": model}, settings),
        command_line("plan", seeds, settings),
    ]


def _note(checkpoint: Checkpoint) -> str:
    minutes = max(1, round((SEEDS - 1) * checkpoint.metadata["train_seconds"] / 60))
    return (
        f"The second command first collects data for and trains the models of {SEEDS - 1} further seeds, which takes "
        f"about {minutes} min more on this machine."
    )


def _showcase(episodes: list[EpisodeRecord], count: int) -> list[EpisodeRecord]:
    """Episodes to show: the longest successes and one failure, if any; more failures if there are few successes."""
    failed = [episode for episode in episodes if not episode.success]
    reached = sorted((episode for episode in episodes if episode.success), key=lambda each: -each.steps)
    shown = reached[: count - min(1, len(failed))]
    return [*shown, *failed[: count - len(shown)]]


def _health(cfg: DictConfig, checkpoint: Checkpoint, data: Path | str) -> list[Health]:
    config = checkpoint.model.config
    sampler = WindowSampler.of(load(data), config.history, config.train_blocks, config.action_block)
    values = diagnose(checkpoint.model, sampler, jax.random.key(int(cfg.seed)))
    return judged(values)
