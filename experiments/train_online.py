"""`jepa-mpc train objective=td task=dmc/walker-walk`: learn a world model from rewards, while acting."""

from __future__ import annotations

import shlex
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from envs.reward_task import RewardTask, check_reward_task, make_reward_task, usual_action_repeat
from worldmodel.checkpoint import RewardCheckpoint, load_reward_model, save_reward_model
from worldmodel.reward_data import load_rewards
from worldmodel.reward_model import RewardModel, RewardModelConfig
from worldmodel.td import TdConfig
from worldmodel.td_training import TdTrainer, TdTrainingConfig

from . import build, curves
from .manifest import command, manifest
from .online import OnlineConfig, OnlineRun
from .online_agent import ActorConfig, OnlineActor
from .progress import progress_bar
from .recipes import reward_model_file

_MOST = 0.6  # of the memory that is free, for the buffer


def run(cfg: DictConfig) -> RewardCheckpoint:
    """Learn, or go on, or read what was learned with these settings before.

    Raises:
      ValueError: settings or an environment that cannot be learned from, or a buffer larger than the memory.
      FloatingPointError: the loss is no longer finite.
    """
    seed, name = int(cfg.seed), str(cfg.task.name)
    repeat = usual_action_repeat(name) if cfg.online.action_repeat is None else int(cfg.online.action_repeat)
    out = Path(cfg.out) if cfg.out else reward_model_file(cfg.runs, name, seed)
    if out.exists():
        checkpoint = load_reward_model(out)
        if (known := checkpoint.metadata.get("settings")) != (wanted := _settings(cfg)):
            differing = sorted(key for key in {*wanted, *(known or {})} if (known or {}).get(key) != wanted.get(key))
            raise ValueError(
                f"{out} was learned with other settings ({', '.join(differing)}): choose another file with out=, or "
                "remove it"
            )
        _tell(f"{out} was learned with these settings already", out)
        return checkpoint

    task = make_reward_task(name, repeat)
    check_reward_task(task, steps=50)
    sizes = {"observation_size": task.observation_size, "action_size": task.action_size}
    episodic = task.may_terminate if cfg.model.episodic is None else cfg.model.episodic
    config = build.fill(RewardModelConfig, {**cfg.model, **sizes, "episodic": episodic}, "model")
    online = build.fill(OnlineConfig, _those(OnlineConfig, cfg.online), "online")
    _fits(online, task)
    decisions = None if task.episode_steps is None else task.episode_steps / repeat
    discount = discount_for(decisions)
    objective = build.fill(TdConfig, {**cfg.objective, "discount": discount}, "objective")
    training = build.fill(TdTrainingConfig, {**cfg.training, "seed": seed}, "training")
    model = _first_model(cfg.online.start_from, config, task, seed)
    data = load_rewards(cfg.online.data) if cfg.online.data else ()
    acting = build.fill(ActorConfig, _those(ActorConfig, cfg.online), "online")
    actor = OnlineActor(cfg, config, acting, build.reward_spec(task), discount)
    table = Path(cfg.online.curves) if cfg.online.curves else out.with_suffix(".csv")
    made = manifest(cfg, [seed])

    def evaluated(env_steps: int, updates: int, seconds: float, returns: Float[ndarray, "M"]) -> None:
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
        curves.append(table, row, made)
        Console(stderr=True).print(
            f"{env_steps} steps: return {returns.mean():.0f} ({returns.min():.0f} to {returns.max():.0f} in "
            f"{len(returns)} episodes), {updates} updates, {seconds:.0f} s"
        )

    path = out.with_suffix(".training.safetensors")
    learning = OnlineRun(
        lambda: make_reward_task(name, repeat), TdTrainer(model, objective, training), actor, online, seed, path,
        _settings(cfg), evaluated, data,
    )  # fmt: skip
    with progress_bar(name, online.steps) as bar:
        learning.run(bar)
    metadata = {"task": name, "settings": _settings(cfg), "env_steps": learning.env_steps, "discount": discount}
    metadata["faults"] = dict(learning.batch.faults)
    save_reward_model(out, learning.weights, config, {**metadata, "train_seconds": learning.progress.seconds})
    path.unlink(missing_ok=True)
    _tell(f"the model is in {out}, its learning curve in {table}", out)
    return load_reward_model(out)


def _first_model(path: str | None, config: RewardModelConfig, task: RewardTask, seed: int) -> RewardModel:
    """A fresh one, or the one at `path`, which must have the same sizes."""
    if path is None:
        fresh = config.create(seed)
        fresh.scale.fit(task.low, task.high)
        return fresh
    known = load_reward_model(path).model
    if known.config != config:
        pairs = zip(*(asdict(each).items() for each in (known.config, config)), strict=True)
        differing = ", ".join(f"{name}={was} and not {now}" for (name, was), (_, now) in pairs if was != now)
        raise ValueError(f"{path} has {differing}: learning goes on with a model of the same sizes only")
    model: RewardModel = known.module()
    return model


def discount_for(decisions: float | None) -> float:
    """Of one decision, by the length of an episode as TD-MPC2 has it: between 0.95 and 0.995; 0.99 without a limit."""
    return 0.99 if decisions is None else float(np.clip((decisions / 5 - 1) / (decisions / 5), 0.95, 0.995))


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """What decides what is learned."""
    ignored = ("curves", "method", "save_every")
    online = {name: value for name, value in cfg.online.items() if name not in ignored}
    groups = {
        name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("task", "model", "objective", "training")
    }
    return {**groups, "planner": OmegaConf.to_container(cfg.planner, resolve=True), "online": online, "seed": cfg.seed}


def _tell(what: str, out: Path) -> None:
    """What was done, and what comes next."""
    after = f"measure it: jepa-mpc plan checkpoint={shlex.quote(str(out))}"
    Console().print(f"{what}\n{after}", markup=False, soft_wrap=True)


def _those(cls: type, settings: DictConfig) -> dict[str, Any]:
    """The settings that a dataclass has fields for."""
    return {field.name: settings[field.name] for field in fields(cls) if field.name in settings}


def _fits(online: OnlineConfig, task: RewardTask) -> None:
    """Raise ValueError where the buffer is larger than the memory that is free."""
    needed = online.slots * 4 * (task.observation_size + task.action_size + 2)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if needed > _MOST * free:
        raise ValueError(
            f"a buffer of {online.slots} decisions takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: "
            "lower online.slots"
        )
