"""`jepa-mpc collect`: roll out a behaviour in a task, write a Minari dataset, and draw its coverage."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

import envs
from envs.collect import Collected
from envs.collection_rate import benchmark_collection, benchmark_frames
from envs.cores import available_cores
from envs.mujoco_task import MujocoTask
from envs.task import PlanarView
from worldmodel.data.dataset import load
from worldmodel.files import write_atomically

from ...build import goal_tasks
from ...build.recipes import Paths
from ...pages.figures import coverage_alone, to_png
from ...records.manifest import manifest
from ...records.results import Value, append_values
from ...shell.say import say
from ...training.ensure import collect_data, visited

_UNITS = {"collection": "physics steps/s", "raw": "physics steps/s", "ratio": "", "env_steps": "steps/s"}  # of rates


def run(cfg: DictConfig) -> Collected:
    """Collect into a new dataset, with a picture of its coverage next to it if the task has a view from above.

    Raises:
      FileExistsError: the dataset's path exists already.
    """
    console = Console()
    out = Path(cfg.out) if cfg.out else Paths.of(cfg, cfg.seed).data
    task = goal_tasks.make(cfg.task.name, "collect")
    if out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another folder with out=, or remove it")
    collected = collect_data(cfg, cfg.seed, out)
    walls = isinstance(task, PlanarView) and task.scene().walls
    went_round = f"; {collected.detour_share:.0%} of the episodes went round a wall" if walls else ""
    minutes = collected.simulated_seconds / 60
    work = "physics" if cfg.checkpoint is None else "acting and physics"
    say(
        f"{collected.episodes} episodes, {collected.steps} steps ({minutes:.1f} min of simulated time) in "
        f"{collected.path}: {collected.rollout_seconds:.1f} s of {work}, {collected.write_seconds:.1f} s of writing, "
        f"{collected.megabytes:.1f} MB{went_round}"
    )
    if isinstance(task, PlanarView):
        picture = out.parent / f"{out.name}-coverage.png"
        drawn = coverage_alone(f"{task.name}: coverage", task.scene(), visited(task, out))
        write_atomically(picture, to_png(drawn))
        say(f"coverage: {picture}")
    else:
        say(f"coverage, of a task without a view from above: {sensor_ranges(task, out)}")
    if cfg.rate:
        measure_rate(cfg, task, console)
    return collected


def sensor_ranges(task: envs.Task, path: Path) -> str:
    """Lowest and highest reading of each of the task's sensors in a dataset, as text."""
    data = load(path)
    spec, rows, read = data.spec, data.observations, data.spec.presence(data.observations)
    words = []
    for sensor in task.sensors:
        place = spec.slices[sensor.name]
        values = rows[:, place][read[:, place]]
        units = f" {sensor.units[0]}" if len(set(sensor.units)) == 1 else ""
        words.append(f"{sensor.name} {values.min():.4g} to {values.max():.4g}{units}" if len(values) else sensor.name)
    return ", ".join(words)


def measure_rate(cfg: DictConfig, task: envs.Task, console: Console) -> None:
    """Measure and print open-loop collection, raw mj_step and drawing, and add them to the CSV `results` if set."""
    if not isinstance(task, MujocoTask):
        raise ValueError(f"rate=true measures MuJoCo tasks, and {cfg.task.name} is none")
    rate = benchmark_collection(task)
    console.print(
        f"open-loop collection {rate['collection']:,.0f} physics steps/s, raw mj_step {rate['raw']:,.0f}: "
        f"{rate['ratio']:.0%} on {rate['threads']:.0f} threads ({rate['env_steps']:,.0f} environment steps/s)"
    )
    values = [Value(f"{task.name} {name}", rate[name], unit) for name, unit in _UNITS.items()]
    seen = goal_tasks.of(cfg)
    if any(len(sensor.shape) > 1 for sensor in seen.sensors):
        frames = benchmark_frames(seen)
        console.print(f"drawing: {frames:,.0f} pictures/s in up to {available_cores()} processes")
        values.append(Value(f"{task.name} frames", frames, "pictures/s"))
    if cfg.results is not None:
        append_values(Path(cfg.results), values, manifest(cfg, [int(cfg.seed)]))
