"""The ceiling of a learning curve: the same episodes, planned on the true dynamics, where nothing has to be learned.

`jepa-mpc train objective=true_dynamics task=dmc/cartpole-swingup`. It looks a fixed number of decisions ahead, with no
value beyond them, by trying candidates in a second simulator: slow, so its episodes are few.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from omegaconf import DictConfig
from rich.console import Console

from envs.registry import make_reward_task, usual_action_repeat
from envs.reward_batch import RewardBatch
from envs.reward_oracle import RewardOracle, present
from envs.reward_task import RewardTask
from planning import ActionSpec, AskTell, Evaluation, plan_on_host

from . import build, curves
from .manifest import command, manifest
from .overrides import override
from .progress import progress_bar
from .reward_policies import episode_returns


@final
class TrueDynamics:
    """Plans anew at every decision, in each episode from its true state.

    Args:
      make_task: makes one environment; what is planned is tried in one of its own.
      planner: any that only asks what candidates cost.
      spec: of the actions.
      seed: of the candidates.

    Raises:
      ValueError: the planner needs a differentiable model, or cannot plan for these actions.
    """

    def __init__(self, make_task: Callable[[], RewardTask], planner: Any, spec: ActionSpec, seed: int):
        if not isinstance(planner, AskTell):
            raise ValueError(
                f"{type(planner).__name__} needs a differentiable model and cannot plan in a simulator: take another "
                "planner for the true dynamics, as in planner=predictive_sampling"
            )
        planner.validate(spec)
        self._oracle, self._spec, self._key = RewardOracle(make_task), spec, jax.random.key(seed)
        self._planner: AskTell[Any] = planner
        self._searches: dict[int, Any] = {}
        self.milliseconds: list[float] = []  # of each plan

    def act(self, batch: RewardBatch, running: Bool[ndarray, "E"]) -> Float[ndarray, "E A"]:
        """The first action of each plan; the rest action where nothing runs any more."""
        actions = np.tile(np.asarray(self._spec.rest_action), (batch.count, 1))
        for index in np.flatnonzero(running):
            began = time.perf_counter()
            actions[index] = self._plan(int(index), batch.tasks[index])
            self.milliseconds.append((time.perf_counter() - began) * 1e3)
        return actions

    def _plan(self, index: int, task: RewardTask) -> Float[ndarray, "A"]:
        objective = partial(self._objective, present(task))
        if index in self._searches:
            search = _warm_start(self._planner, self._searches[index], self._spec)
        else:
            search = self._planner.init(self._spec, jax.random.fold_in(self._key, index))
        plan, self._searches[index] = plan_on_host(self._planner, objective, search, self._spec)
        return np.asarray(plan.actions[0])

    def _objective(self, moment: Any, actions: Float[ndarray, "N T A"]) -> Evaluation:
        return Evaluation(cost=jnp.asarray(-self._oracle.returns(moment, actions), jnp.float32))


@jax.jit
def _warm_start(planner: Any, search: Any, spec: ActionSpec) -> Any:
    return planner.warm_start(search, spec, 1)


def settings(task: str, *overrides: str) -> DictConfig:
    """Those of this ceiling, as `jepa-mpc train objective=true_dynamics` has them."""
    return build.compose("train", "objective=true_dynamics", "task=reward", override("task.name", task), *overrides)


def run(cfg: DictConfig) -> Path:
    """Measure the ceiling of one task, as a level line in a table of learning curves; the table is returned.

    A ceiling that is in the table already is left as it is.

    Raises:
      ValueError: settings or an environment that cannot be planned in.
    """
    seed, name, method = int(cfg.seed), str(cfg.task.name), str(cfg.online.method)
    repeat = usual_action_repeat(name) if cfg.online.action_repeat is None else int(cfg.online.action_repeat)
    default = Path(cfg.runs) / f"{name.replace('/', '-')}-true-dynamics-seed{seed}.csv"
    table, steps = Path(cfg.online.curves) if cfg.online.curves else default, int(cfg.online.steps)
    if steps < 1:
        raise ValueError(f"online.steps must be at least 1; got {steps}")
    if any(row.key() == (method, name, seed) and row.env_steps >= steps for row in curves.read(table)):
        Console().print(f"{method} on {name}, seed {seed}, is in {table} already", markup=False, soft_wrap=True)
        return table
    make_task = partial(make_reward_task, name, repeat)
    policy = TrueDynamics(make_task, build.planner(cfg), build.reward_spec(make_task()), seed)
    episodes = int(cfg.online.evaluate_episodes)
    with progress_bar(f"{method} on {name}", 1) as bar:
        returns = episode_returns(make_task, policy, episodes, seed, bar)
    made = manifest(cfg, [seed])
    for env_steps in (0, steps):  # it learns nothing between them
        row = curves.CurveRow(
            method=method,
            task=name,
            seed=seed,
            env_steps=env_steps,
            gradient_steps=0,
            wall_s=0.0,
            mean_return=float(returns.mean()),
            action_repeat=repeat,
            command=command(),
        )
        curves.append(table, row, made)
    Console().print(
        f"return {returns.mean():.0f} ({returns.min():.0f} to {returns.max():.0f} in {episodes} episodes), "
        f"{np.mean(policy.milliseconds):.0f} ms a decision; its rows are in {table}",
        markup=False,
        soft_wrap=True,
    )
    return table
