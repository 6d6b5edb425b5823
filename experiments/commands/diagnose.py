"""`jepa-mpc diagnose`: check whether a model is healthy, and attribute its failures to model or planner."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import Checkpoint, load_model

from ..build.published import PUBLISHED
from ..build.recipes import CUSTOM, Paths, file_name, plan_command
from ..diagnosis.diagnosis import Diagnosis, diagnosis
from ..diagnosis.failure_attribution import FAULTS
from ..diagnosis.figures import picture
from ..diagnosis.page import render
from ..pages.figures import to_png
from ..pages.markup import healthy_range
from ..records.manifest import manifest
from ..shell.say import say
from ..training.ensure import chosen_checkpoint
from ..training.health import judged


def run(cfg: DictConfig) -> Diagnosis:
    """Print one table, and write it as JSON, as a picture and as a page."""
    path = Paths.of(cfg, int(cfg.seed)).model if cfg.checkpoint is None else Path(cfg.checkpoint)
    name = f"{file_name(cfg.task.name)}-{PUBLISHED}" if cfg.checkpoint == PUBLISHED else path.stem
    found = diagnosis(cfg, _checkpoint(cfg))
    console = Console()
    show(found, console, f"{name} on {found.source}")
    out = Path(cfg.out) if cfg.out else Path(cfg.runs) / f"{name}-diagnose"
    made = manifest(cfg, [int(cfg.seed)])
    steps = [] if cfg.task.name == CUSTOM else [("Plan again with this model", plan_command(path, cfg.task.name))]
    files = {ending: out.with_name(f"{out.name}.{ending}") for ending in ("json", "png", "html")}
    write_atomically(files["json"], json.dumps({**as_json(found), "manifest": made}, indent=2) + "\n")
    write_atomically(files["png"], to_png(picture(found), dpi=120))
    write_atomically(files["html"], render(found, f"jepa-mpc diagnose: {name}", made, steps))
    say(f"report: {files['html']}\nfigure: {files['png']}\nvalues: {files['json']}")
    return found


def _checkpoint(cfg: DictConfig) -> Checkpoint:
    if cfg.task.name != CUSTOM:
        return chosen_checkpoint(cfg, int(cfg.seed), "diagnose")
    if cfg.checkpoint is None:
        raise ValueError(f"task={CUSTOM} has no model of its own: add checkpoint=FILE")
    if cfg.data is None:
        raise ValueError(f"task={CUSTOM} has no simulator to make held-out data with: add data=FOLDER of some")
    return load_model(cfg.checkpoint)


def show(found: Diagnosis, console: Console, title: str) -> None:
    """Print the figures: value, healthy range, verdict, and if that is bad, its meaning and the fix."""
    rows = Table(title=title, box=SIMPLE_HEAD)
    for column in ("figure", "value", "healthy", ""):
        rows.add_column(column, justify="right" if column in ("value", "healthy") else "left", no_wrap=True)
    rows.add_column("what to do")
    for item in judged(found.values):
        rows.add_row(
            item.name,
            f"{item.value:.3g}",
            healthy_range(item),
            ("[green]ok" if item.ok else "[bold red]look") if item.bounded else "",
            "" if item.ok else f"{item.meaning} [bold]Try: {item.fix}.",
        )
    console.print(rows)
    if found.probes:
        console.print("linear probes, R²: " + ", ".join(f"{k} {v:.3f}" for k, v in found.probes.items()), markup=False)
    if found.episodes:
        console.print(f"held-out goals: {found.episodes - found.failed} of {found.episodes} reached")
    if found.failures:
        verdicts = Table(title="whose fault the failures are", box=SIMPLE_HEAD)
        for column in ("fault", "episodes", "which", "why, and what to do"):
            verdicts.add_column(column, justify="right" if column == "episodes" else "left")
        counts = Counter(failure.fault for failure in found.failures)
        for fault, why in FAULTS.items():
            which = ", ".join(str(each.episode) for each in found.failures if each.fault == fault)
            verdicts.add_row(fault, str(counts[fault]), which, why)
        console.print(verdicts)


def as_json(found: Diagnosis) -> dict[str, Any]:
    """Content of the table and the curves, as JSON."""
    seen, reach = found.foresight, found.reach
    content: dict[str, Any] = {
        "task": found.task,
        "held_out": found.source,
        "figures": [{**asdict(item), "ok": item.ok} for item in judged(found.values)],
        "probes": found.probes,
        "probes_of_sensors": found.sensed,
        "episodes": {"played": found.episodes, "failed": found.failed},
        "failures": [{**asdict(failure), "fault": failure.fault} for failure in found.failures],
    }
    if seen is not None:
        steps = np.arange(1, len(seen.model) + 1) * found.action_block
        errors = {name: getattr(seen, name) for name in ("model", "unchanged", "shuffled")}
        content["horizon"] = {"steps": steps.tolist(), **{name: each.tolist() for name, each in errors.items()}}
    if reach is not None:
        content["distances"] = {"source": reach.source}
        for name in reach.distances:
            steps, (low, median, high) = reach.curve(name)
            curve = {"steps": steps, "p10": low, "median": median, "p90": high}
            content["distances"][name] = {key: values.tolist() for key, values in curve.items()}
            content["distances"][name]["saturation_steps"] = reach.saturation(name)
    content["landscapes"] = [
        {"agreement": each.agreement, "regret": each.regret, "model": each.model.tolist(), "truth": each.truth.tolist()}
        for each in found.slices
    ]
    return _finite(content)


def _finite(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
