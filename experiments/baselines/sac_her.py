"""Soft actor-critic with hindsight experience replay: reinforcement learning with the same number of environment steps.

SAC is that of `sbx`, the JAX edition of Stable-Baselines3, and the replay is Stable-Baselines3's own (Haarnoja et al.,
arXiv 1812.05905; Andrychowicz et al., arXiv 1707.01495). They are the extra `baselines`; evaluation of a trained policy
does not need them.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs import Task

from ..evaluation.reactive import ReactivePolicy
from ..shell.progress import progress_bar
from . import weights
from .goal_env import GoalEnv

CHECKPOINT_SECONDS = 20.0  # between two training states on disk: the most that a kill can lose
BUFFER = ("actions", "rewards", "dones", "timeouts", "ep_start", "ep_length", "_current_ep_start")
DICTIONARIES = ("observations", "next_observations")


@dataclass(frozen=True)
class SacHerConfig:
    """The settings of Stable-Baselines3's SAC, but for the discount and the learning rate.

    `round` environment steps are followed by as many updates, in one compiled call.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.98
    tau: float = 0.005
    batch: int = 256
    width: int = 256
    depth: int = 2
    learning_starts: int = 1000
    hindsight_goals: int = 4  # relabelled goals for each original goal
    round: int = 32
    draws: int = 500  # starts and goals from which the sensor scales are computed


def installed() -> bool:
    """Whether the extra `baselines` is installed."""
    return find_spec("sbx") is not None and find_spec("stable_baselines3") is not None


def train_to_file(path: Path, task: Task, steps: int, seed: int, config: SacHerConfig, recipe: dict[str, Any]) -> None:
    """Train for `steps` environment steps and write the actor; an interrupted run resumes from its last state.

    Raises:
      ImportError: the extra `baselines` is not installed.
      ValueError: the saved state is of a run with another recipe.
    """
    if not installed():
        raise ImportError("the baseline sac_her needs sbx: pip install sbx-rl stable-baselines3")
    states = path.with_suffix(".training.safetensors")
    env = GoalEnv(task, config.draws)
    model = _create(env, steps, seed, config)
    before = 0.0
    if states.exists():
        tensors, header = weights.read(states, recipe, {"sac_her": (SacHerConfig,)})
        _restore(model, tensors, header, seed)
        before = float(header["seconds"])
    began = time.perf_counter()

    def save() -> None:
        seconds = before + time.perf_counter() - began
        tensors, counts = _snapshot(model)
        weights.write(states, tensors, {"recipe": recipe, "seconds": seconds, **counts})

    with progress_bar(f"train sac_her {task.name}", steps) as bar:
        _learn(model, steps, save, bar)
    actor = weights.named(model.policy.actor_state.params["params"], "")
    count = sum(leaf.size for leaf in jax.tree.leaves((model.policy.actor_state.params, model.policy.qf_state.params)))
    known = {"train_seconds": before + time.perf_counter() - began, "env_steps": steps, "parameters": count}
    weights.write(path, actor, {"recipe": recipe, "config": asdict(config), **known})
    states.unlink(missing_ok=True)


def load(path: Path, task: Task, recipe: dict[str, Any]) -> tuple[ReactivePolicy, dict[str, Any], None]:
    """Load the policy in a file, its header, and None: it looks at no pictures.

    Raises:
      FileNotFoundError: there is no file.
      ValueError: a broken file, or one of another recipe.
    """
    tensors, header = weights.read(path, recipe, {"sac_her": (SacHerConfig,)})
    config, _ = weights.shape_of(SacHerConfig, path, header, tensors)
    return policy(task, tensors, config), header, None


def policy(task: Task, actor: dict[str, np.ndarray], config: SacHerConfig) -> ReactivePolicy:
    """Policy of the actor's mean action: hidden layers with ReLU, then tanh to the bounds."""
    env, depth = GoalEnv(task, config.draws), config.depth
    space: Any = task.action_space
    middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2

    @jax.jit
    def act(actor: dict[str, Any], inputs: Any) -> Any:
        hidden = inputs
        for layer in range(depth):
            hidden = jax.nn.relu(hidden @ actor[f"Dense_{layer}.kernel"] + actor[f"Dense_{layer}.bias"][None])
        mean = hidden @ actor[f"Dense_{depth}.kernel"] + actor[f"Dense_{depth}.bias"][None]
        return jnp.asarray(middle)[None] + jnp.asarray(half)[None] * jnp.tanh(mean)

    arrays = {name: jnp.asarray(value) for name, value in actor.items()}

    def scaled(observations: np.ndarray) -> np.ndarray:
        return env.scaled(observations).astype(np.float32)

    def on_stacks(stacks: np.ndarray, goals: np.ndarray) -> Any:
        return act(arrays, np.concatenate([goals, scaled(stacks[:, -1])], axis=1))

    return ReactivePolicy("sac_her", 1, scaled, on_stacks)


def _create(env: GoalEnv, steps: int, seed: int, config: SacHerConfig) -> Any:
    """Create SAC whose networks see only the observation and the visible part of the goal."""
    from sbx import SAC
    from sbx.common.policies import SquashedGaussianActor, VectorCritic
    from stable_baselines3 import HerReplayBuffer

    def visible(values: Any) -> Any:
        """Select the visible part; Stable-Baselines3 concatenates achieved goal, desired goal and observation."""
        width = (values.shape[-1] - env.visible) // 2
        return jnp.concatenate([values[:, width : width + env.visible], values[:, 2 * width :]], axis=-1)

    class Actor(SquashedGaussianActor):
        def __call__(self, values: Any) -> Any:
            return super().__call__(visible(values))

    class Critic(VectorCritic):
        def __call__(self, values: Any, action: Any) -> Any:
            return super().__call__(visible(values), action)

    layers = [config.width] * config.depth
    return SAC(
        "MultiInputPolicy",
        env,
        learning_rate=config.learning_rate,
        buffer_size=steps,
        learning_starts=config.learning_starts,
        batch_size=config.batch,
        tau=config.tau,
        gamma=config.gamma,
        train_freq=config.round,
        gradient_steps=config.round,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": config.hindsight_goals, "goal_selection_strategy": "future"},
        policy_kwargs={"net_arch": layers, "actor_class": Actor, "vector_critic_class": Critic},
        seed=seed,
    )


def _learn(model: Any, steps: int, save: Any, bar: Any) -> None:
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        saved = time.perf_counter()

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:  # the updates of the last round are done
            bar(min(self.num_timesteps, steps), steps)
            if time.perf_counter() - self.saved > CHECKPOINT_SECONDS:
                save()
                self.saved = time.perf_counter()

    if model.num_timesteps < steps:
        left = steps - model.num_timesteps
        model.learn(left, callback=Watch(), reset_num_timesteps=model.num_timesteps == 0)
    bar(steps, steps)


def _snapshot(model: Any) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Arrays and counters of a run."""
    buffer, learned = model.replay_buffer, _learned(model)
    tensors = weights.named(learned, "learned.")
    tensors |= {f"buffer.{name}": getattr(buffer, name) for name in BUFFER}
    tensors |= {f"buffer.{name}.{key}": value for name in DICTIONARIES for key, value in getattr(buffer, name).items()}
    counts = {"pos": buffer.pos, "full": int(buffer.full), "steps": model.num_timesteps, "updates": model._n_updates}
    return tensors, {name: int(value) for name, value in counts.items()}


def _restore(model: Any, tensors: dict[str, np.ndarray], header: dict[str, Any], seed: int) -> None:
    """Restore a snapshot into a new model; the interrupted episode ends there."""
    buffer = model.replay_buffer
    for name in BUFFER:
        getattr(buffer, name)[...] = tensors[f"buffer.{name}"]
    for name in DICTIONARIES:
        for key, value in getattr(buffer, name).items():
            value[...] = tensors[f"buffer.{name}.{key}"]
    buffer.pos, buffer.full = int(header["pos"]), bool(header["full"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for the behaviour needed here
        buffer.truncate_last_trajectory()
    model.num_timesteps, model._n_updates = int(header["steps"]), int(header["updates"])
    model.set_random_seed(seed + model.num_timesteps)
    learned = weights.filled(_learned(model), "learned.", tensors)
    model.policy.actor_state, model.policy.qf_state, model.ent_coef_state = (
        learned[name] for name in ("actor", "critic", "entropy")
    )


def _learned(model: Any) -> dict[str, Any]:
    return {"actor": model.policy.actor_state, "critic": model.policy.qf_state, "entropy": model.ent_coef_state}
