"""SAC and PPO on rewards, with the same environment steps and the same evaluation as the other methods.

The algorithms are those of `sbx`, the JAX edition of Stable-Baselines3, with its default settings unless overridden
(Haarnoja et al., arXiv 1812.05905; Schulman et al., arXiv 1707.06347). They are the extra `baselines`.
"""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..evaluation.rewards.returns import EnvFactory, check_spaces, evaluate_returns
from ..records import curves
from ..records.curves import CurveRow
from ..shell.progress import progress_bar

logger = logging.getLogger(__name__)

ALGORITHMS = ("sac", "ppo")


@dataclass(frozen=True)
class SbxConfig:
    """Training settings, in environment steps: control steps, action repeats included."""

    algorithm: str = "sac"
    steps: int = 100_000
    evaluate_every: int = 5_000
    episodes: int = 10  # of each evaluation
    action_repeat: int = 1  # of the factory's environment, which repeats actions itself
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the algorithm, by the names of Stable-Baselines3

    def check(self) -> None:
        """Raise ValueError on invalid settings."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}; got {self.algorithm!r}")
        for name in ("steps", "evaluate_every", "episodes", "action_repeat"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}")
        if self.evaluate_every % self.action_repeat or self.steps % self.evaluate_every:
            raise ValueError(
                f"steps must be a multiple of evaluate_every, and that one of action_repeat; got {self.steps}, "
                f"{self.evaluate_every} and {self.action_repeat}"
            )


def train(
    table: Path, config: SbxConfig, task: str, make_env: EnvFactory, seed: int, manifest: Mapping[str, Any]
) -> None:
    """Train one seed, and add a row to `table` at each evaluation, the first of them before any learning.

    A seed that is complete in the table is left as it is; an interrupted one restarts.

    Raises:
      ImportError: the extra `baselines` is not installed.
      ValueError: invalid settings, or spaces that are not boxes.
    """
    config.check()
    key = (config.algorithm, task, seed)
    if any(row.key() == key and row.env_steps >= config.steps for row in curves.read(table)):
        logger.info("%s on %s, seed %d, is in %s already", *key, table.name)
        return
    model = _create(config, make_env, seed)
    curves.discard(table, key)
    manifest = _complete(manifest, config)
    with progress_bar(f"{config.algorithm} on {task}", config.steps) as bar:
        watch = _watch(table, config, task, make_env, seed, manifest, bar)
        model.learn(config.steps // config.action_repeat, callback=watch)


def installed() -> bool:
    """Whether the extra `baselines` is installed."""
    return find_spec("sbx") is not None and find_spec("stable_baselines3") is not None


def _complete(manifest: Mapping[str, Any], config: SbxConfig) -> dict[str, Any]:
    """Manifest with the settings, and the versions of the packages of this extra."""
    versions = {name: importlib.metadata.version(name) for name in ("sbx-rl", "stable-baselines3", "torch")}
    settings = {name: str(value) for name, value in config.settings.items()}
    baseline = {**asdict(replace(config, settings={})), "settings": settings}
    return {**manifest, "versions": {**manifest.get("versions", {}), **versions}, "baseline": baseline}


def _create(config: SbxConfig, make_env: EnvFactory, seed: int) -> Any:
    if not installed():
        raise ImportError(f"the baseline {config.algorithm} needs sbx: pip install sbx-rl stable-baselines3")
    from sbx import PPO, SAC

    env = make_env()
    check_spaces(env)
    kind = {"sac": SAC, "ppo": PPO}[config.algorithm]
    return kind("MlpPolicy", env, seed=seed, **config.settings)


def _watch(
    table: Path,
    config: SbxConfig,
    task: str,
    make_env: EnvFactory,
    seed: int,
    manifest: Mapping[str, Any],
    bar: Any,
) -> Any:
    """Callback that evaluates, adds the rows, and stops at the last step."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        spent = 0.0  # seconds of training
        began = 0.0

        def _on_training_start(self) -> None:
            self._evaluate(0)
            self.began = time.perf_counter()

        def _on_step(self) -> bool:
            steps = self.num_timesteps * config.action_repeat
            if steps % config.evaluate_every == 0:
                self.spent += time.perf_counter() - self.began
                self._evaluate(steps)
                bar(steps, config.steps)
                self.began = time.perf_counter()
            return steps < config.steps

        def _evaluate(self, steps: int) -> None:
            row = CurveRow(
                method=config.algorithm,
                task=task,
                seed=seed,
                env_steps=steps,
                gradient_steps=_gradient_steps(self.model),
                wall_s=self.spent,
                mean_return=float(evaluate_returns(make_env, self.model, config.episodes, seed).mean()),
                action_repeat=config.action_repeat,
                command=manifest["command"],
            )
            curves.append(table, row, manifest)

    return Watch()


def _gradient_steps(model: Any) -> int:
    """Count of optimiser steps; PPO itself counts passes over a rollout, each of several steps."""
    passes = int(model._n_updates)
    if not hasattr(model, "n_epochs"):
        return passes
    return passes * -(-model.n_steps * model.n_envs // model.batch_size)
