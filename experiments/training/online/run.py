"""`jepa-mpc train method=td task=dmc/walker-walk`: learn a world model from rewards, while acting."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from envs.reward_task import RewardTask, check_reward_task
from worldmodel.data.dataset import load
from worldmodel.data.rewards import reward_episodes
from worldmodel.models.checkpoint import RewardCheckpoint, load_reward_model, save_reward_model
from worldmodel.models.fingerprint import differing, unknown, unknown_clause
from worldmodel.models.reward_model import RewardModel, RewardModelConfig
from worldmodel.nets.encoders.build import sized
from worldmodel.observation import ObservationSpec
from worldmodel.training.td import TdConfig
from worldmodel.training.td_trainer import TdTrainer, TdTrainingConfig

from ... import build
from ...build import reward_tasks
from ...build.defaults import defaults
from ...build.recipes import reward_model_file
from ...build.sensor_ranges import sensor_range
from ...records import curves
from ...records.manifest import command, manifest, provenance
from ...shell.overrides import command_line
from ...shell.progress import progress_bar
from ...shell.say import say
from ...watching.watch import Watch, writers
from ..data_checks import check_rewards
from .actor import OnlineActor
from .config import GROUPS, OnlineConfig
from .loop import OnlineRun
from .value_range import largest_return, suited
from .watches import Watches

PARTS = ("encoder", "dynamics", "critics", "actor")  # of a model, from which another model may be initialised
_MOST = 0.6  # fraction of the free memory for the buffer


def run(cfg: DictConfig) -> RewardCheckpoint:
    """Train, resume, or load the result of these settings; with several seeds, return the first one's model.

    Raises:
      ValueError: invalid settings, an environment that cannot be trained on, or a buffer larger than the memory.
      FloatingPointError: the loss is no longer finite.
    """
    seeds = _seeds(cfg)
    writers(cfg)  # before anything is made for nothing
    repeat, outs = reward_tasks.action_repeat(cfg), files(cfg)
    missing = [seed for seed, out in zip(seeds, outs, strict=True) if not _learned(out, _settings(cfg, seed))]
    if missing:
        _learn(cfg, missing, repeat, [out for seed, out in zip(seeds, outs, strict=True) if seed in missing])
    return load_reward_model(outs[0])


def files(cfg: DictConfig) -> list[Path]:
    """Paths of the models of all seeds."""
    name, sensors = str(cfg.task.name), cfg.observation.sensors
    return [Path(cfg.out) if cfg.out else reward_model_file(cfg.runs, name, seed, sensors) for seed in _seeds(cfg)]


def _seeds(cfg: DictConfig) -> list[int]:
    """Seeds of the parallel runs, or of the single run.

    Raises:
      ValueError: a seed twice, or one file for several models.
    """
    seeds = [int(cfg.seed)] if cfg.online.seeds is None else [int(seed) for seed in cfg.online.seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"online.seeds must name each seed once; got {seeds}")
    if cfg.out and len(seeds) > 1:
        raise ValueError(f"out={cfg.out} is one file for the models of {len(seeds)} seeds: choose a folder with runs=")
    return seeds


def _learned(out: Path, expected: dict[str, Any]) -> bool:
    """Whether `out` holds a model trained with these settings.

    Raises:
      ValueError: it holds a model of other settings.
    """
    if not out.exists():
        return False
    stored, known = load_reward_model(out).metadata.get("settings") or {}, defaults(expected, GROUPS)
    was, _ = differing(stored, expected, known)
    if was:
        newer = unknown_clause(unknown(stored, expected, known))
        raise ValueError(
            f"{out} was learned with other settings ({', '.join(was)}){newer}: choose another file with out=, or "
            "remove it"
        )
    _tell(f"{out} was learned with these settings already", out)
    return True


def _learn(cfg: DictConfig, seeds: list[int], repeat: int, outs: list[Path]) -> None:
    """Train all seeds side by side, and save the models."""
    name = str(cfg.task.name)
    task = reward_tasks.of(cfg, build.control_period(cfg))
    tried = check_reward_task(task, steps=50)
    task.close()
    observation = sized(ObservationSpec.of(task.sensors), cfg.model.pictures, cfg.observation.features)
    if observation.pictures:
        _suits_pictures(cfg, seeds)
    data = load(cfg.online.data, rewards=True) if cfg.online.data else None
    known = () if data is None else reward_episodes(data)
    if data is not None:
        check_rewards(data, task.describe(), cfg.online.data, rewards_count=_counts_rewards(cfg))
    sizes = {"observation": observation, "action_size": task.action_size}
    episodic = task.may_terminate if cfg.model.episodic is None else cfg.model.episodic
    config = build.fill(RewardModelConfig, {**cfg.model, **sizes, "episodic": episodic}, "model")
    online = build.fill(OnlineConfig, _those(OnlineConfig, cfg.online), "online")
    _fits(online, task, observation, len(seeds), outs[0].parent)
    decisions = None if task.episode_steps is None else task.episode_steps / repeat
    discount = discount_for(decisions)
    if cfg.online.start_from is None and _counts_rewards(cfg):  # another model's sizes are fixed
        seen = {f"random decisions in {name}": largest_return(*tried, discount)}
        if known:
            seen[str(cfg.online.data)] = max(largest_return(each.rewards, each.terminated, discount) for each in known)
        source = max(seen, key=lambda source: seen[source])
        config = suited(config, seen[source], source)
    objective = build.fill(TdConfig, {**cfg.objective, "discount": discount}, "objective")
    trainers = [
        TdTrainer(
            first_model(cfg.online.start_from, cfg.online.start_parts, config, task, seed),
            objective,
            build.fill(TdTrainingConfig, {**_those(TdTrainingConfig, cfg.training), "seed": seed}, "training"),
        )
        for seed in seeds
    ]
    acting = build.fill(build.ActorConfig, _those(build.ActorConfig, cfg.online), "online")
    agents = build.RewardAgents(cfg, config, acting, build.reward_spec(task), discount)
    actor = OnlineActor(agents, acting.actor)
    out_of, made = dict(zip(seeds, outs, strict=True)), manifest(cfg, seeds)

    def evaluated(seed: int, env_steps: int, updates: int, seconds: float, returns: Float[ndarray, "M"]) -> None:
        row = curves.CurveRow(
            method=str(cfg.online.method),
            task=name,
            seed=seed,
            env_steps=env_steps,
            gradient_steps=updates,
            wall_s=seconds,
            mean_return=float(returns.mean()),
            action_repeat=repeat,
            command=command(),
        )
        curves.append(_table(cfg, out_of[seed]), row, made)
        label = f" (seed {seed})" if len(seeds) > 1 else ""
        Console(stderr=True).print(
            f"{env_steps} steps{label}: return {returns.mean():.0f} ({returns.min():.0f} to {returns.max():.0f} in "
            f"{len(returns)} episodes), {updates} updates, {seconds:.0f} s"
        )

    path, settings = outs[0].with_suffix(".training.safetensors"), {**_settings(cfg, seeds[0]), "seed": seeds}
    if config.bin_limit != cfg.model.bin_limit:
        settings["bin_limit"] = config.bin_limit
    parts = cfg.online.start_parts
    fresh = cfg.online.start_from is None or (parts is not None and "encoder" not in parts)
    run = trainers, actor, online, seeds, path, settings, evaluated, known, fresh
    learning = OnlineRun(lambda: reward_tasks.of(cfg), *run)
    made_for = zip(outs, learning.batches, strict=True)
    began = min(learning.updates, online.offline_updates)
    watches = [Watch.of(cfg, out, batch.env_steps + began) for out, batch in made_for]
    with progress_bar(name, online.steps, compiles=True) as bar, Watches(watches, online.offline_updates) as watched:
        learning.run(bar, watched)
    seconds = learning.progress.seconds
    vectors = ObservationSpec(observation.vectors) if observation.vectors else None
    for number, (seed, out, batch) in enumerate(zip(seeds, outs, learning.batches, strict=True)):
        metadata = {"task": name, "settings": _settings(cfg, seed), "discount": discount, "train_seconds": seconds}
        if math.isfinite(task.control_period):
            metadata["control_period"] = task.control_period
        metadata |= {
            "env_steps": batch.env_steps,
            "faults": dict(batch.faults),
            **provenance(),
            **sensor_range(learning.seen(number), vectors),
        }
        save_reward_model(out, learning.weights(number), config, metadata)
        _tell(f"the model is in {out}, its learning curve in {_table(cfg, out)}", out)
    learning.finish()


def _table(cfg: DictConfig, out: Path) -> Path:
    """Path of the table with the rows of a model's learning curve."""
    return Path(cfg.online.curves) if cfg.online.curves else out.with_suffix(".csv")


def first_model(
    path: str | None, parts: Sequence[str] | None, config: RewardModelConfig, task: RewardTask, seed: int
) -> RewardModel:
    """Initial model, with all or some `parts` of the one at `path`.

    Raises:
      ValueError: a part that does not exist, parts without a path, or a model of other sizes.
    """
    fresh = config.create(seed)
    fresh.scale.fit(task.low, task.high)
    if unknown := sorted({*(parts or ())} - {*PARTS}):
        raise ValueError(f"online.start_parts may name {', '.join(PARTS)}; got {', '.join(unknown)}")
    if path is None:
        if parts is not None:
            raise ValueError("online.start_parts says what to take of a model: add online.start_from=MODEL")
        return fresh
    known = load_reward_model(path).model
    if known.config != config:
        pairs = zip(*(asdict(each).items() for each in (known.config, config)), strict=True)
        differing = ", ".join(f"{name}={was} and not {now}" for (name, was), (_, now) in pairs if was != now)
        raise ValueError(f"{path} has {differing}: learning goes on with a model of the same sizes only")
    model: RewardModel = known.module()
    if parts is None:
        return model
    for name in (*parts, *(["pictures"] if "encoder" in parts else [])):
        setattr(fresh, name, getattr(model, name))
    return fresh


def discount_for(decisions: float | None) -> float:
    """Discount per decision from the episode length, as in TD-MPC2: between 0.95 and 0.995; 0.99 without a limit."""
    return 0.99 if decisions is None else float(np.clip((decisions / 5 - 1) / (decisions / 5), 0.95, 0.995))


def _settings(cfg: DictConfig, seed: int) -> dict[str, Any]:
    """Settings that determine the result of training with a seed."""
    ignored = ("curves", "method", "save_every", "seeds")
    names = ["task", "model", "objective", "training", "planner", "online"]
    names += ["observation"] * (cfg.observation.sensors is not None)
    groups: dict[str, Any] = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in names}
    for name in ignored:
        groups["online"].pop(name, None)
    return {**groups, "seed": seed}


def _tell(what: str, out: Path) -> None:
    """Print the result and the next command."""
    after = f"measure it: {command_line('plan', {'checkpoint': out})}"
    say(f"{what}\n{after}")


def _counts_rewards(cfg: DictConfig) -> bool:
    """Whether rewards are learned; without them only the dynamics are."""
    return bool(cfg.objective.reward > 0 or cfg.objective.value > 0)


def _those(cls: type, settings: DictConfig) -> dict[str, Any]:
    """Settings for which a dataclass has fields."""
    return {field.name: settings[field.name] for field in fields(cls) if field.name in settings}


def _suits_pictures(cfg: DictConfig, seeds: Sequence[int]) -> None:
    """Raise ValueError for settings that learning from pictures does not have."""
    if len(seeds) > 1:
        raise ValueError(
            f"online.seeds={list(seeds)} learn side by side from vectors only: with pictures, give one at a time as "
            "seed=NUMBER online.seeds=null"
        )
    if cfg.online.data is not None:
        raise ValueError(
            f"online.data={cfg.online.data} cannot be combined with pictures, which such data do not hold: leave it "
            "out, or take observation=state"
        )


def _fits(online: OnlineConfig, task: RewardTask, spec: ObservationSpec, runs: int, folder: Path) -> None:
    """Raise ValueError if the buffers of all runs exceed the free memory, or their pictures the free disk space."""
    needed = runs * online.slots * 4 * (sum(each.size for each in spec.vectors) + task.action_size + 2)
    pictures = online.slots * sum(each.size for each in spec.pictures)
    while not folder.exists():
        folder = folder.parent
    room = shutil.disk_usage(folder).free
    if pictures > _MOST * room:
        raise ValueError(
            f"{online.slots} pictures to remember take {pictures / 1e9:.1f} GB, and {room / 1e9:.1f} GB are free on "
            "the disk: lower online.slots"
        )
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if needed > _MOST * free:
        raise ValueError(
            f"{runs} x {online.slots} decisions to remember take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
            "free: lower online.slots"
        )
