"""Online learning from rewards: act, store, update, evaluate at intervals. Resumes exactly after a kill.

The updates of a decision run on a separate thread while it is computed and executed. They use the same weights as the
decision, and the buffer before it, so that the result does not depend on thread timing. A thread, because what one
thread dispatches runs one after the other on CPUs. Several seeds may train side by side, in lanes of the same arrays
(`worldmodel.training.lanes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy import ndarray

from envs.reward_batch import RewardBatch, Steps
from envs.reward_task import RewardTask
from worldmodel.data.rewards import RewardEpisode
from worldmodel.models.freeze import Weights, freeze_reward_model
from worldmodel.training.lanes import Lanes
from worldmodel.training.td_trainer import TdTrainer

from ...evaluation.rewards.rollout import episode_returns
from .actor import CalmActor, OnlineActor
from .config import OnlineConfig
from .memory import Memory
from .state import load_run, save_run
from .value_range import RangeWatch
from .watches import Watches

logger = logging.getLogger(__name__)

_OFFLINE = 500  # updates between two training states on disk
_SEEDS, _ACTING, _EVALUATION = 1, 2, 3  # purpose of a random key


@dataclass
class Progress:
    """Progress of a run."""

    decisions: int = 0  # of all environments
    seconds: float = 0.0  # seconds of acting and learning, without evaluations
    evaluated: int = 0  # evaluations done


@final
class OnlineRun:
    """One or several parallel runs: each has a batch of environments, a buffer and a model; all share one actor.

    Args:
      make_task: makes one environment.
      trainers: of the models, one for each seed, all of the same architecture and settings.
      actor: acts with the trainers' weights.
      config: the rhythm.
      seeds: one for each run, for all its random numbers.
      path: of the file that stores the run's state, from which it resumes.
      fingerprint: of the settings that determine the results; a run with other settings does not resume from it.
      evaluated: takes (seed, environment steps, gradient steps, seconds, returns) of each evaluation.
      data: earlier experience, in place of the initial random decisions.
      fit_pictures: whether the statistics of pictures are measured on the random decisions.

    Raises:
      ValueError: data that do not fit the environment, or nothing to learn from.
    """

    def __init__(
        self,
        make_task: Callable[[], RewardTask],
        trainers: Sequence[TdTrainer],
        actor: OnlineActor,
        config: OnlineConfig,
        seeds: Sequence[int],
        path: Path,
        fingerprint: dict[str, Any],
        evaluated: Callable[[int, int, int, float, Float[ndarray, "M"]], None],
        data: Sequence[RewardEpisode] = (),
        fit_pictures: bool = True,
    ):
        if not data and (config.offline_updates or not config.steps):
            raise ValueError(
                f"online.steps={config.steps} and online.offline_updates={config.offline_updates} need data to learn "
                "from: add online.data=DATASET"
            )
        self._make_task, self._trainer, self._actor, self._config = make_task, trainers[0], actor, config
        self._seeds, self._path, self._fingerprint, self._evaluated = tuple(seeds), path, fingerprint, evaluated
        self._lanes = lanes = Lanes(len(seeds))
        self._keys = [jax.random.key(seed) for seed in seeds]
        self.batches = [RewardBatch(make_task, config.environments, seed) for seed in seeds]
        self._task = self.batches[0].task
        count = config.environments
        self._model = actor.agents.config
        sensors = self._model.observation, self._model.reach, self._task.action_size
        self._memory = Memory(lanes, *sensors, config, data, path.with_suffix(".frames"), path.exists())
        self._fit_pictures = fit_pictures and self._memory.has_pictures
        self._seed_decisions = 0 if data else config.seed_decisions
        self._state = lanes.stack([trainer.init() for trainer in trainers])
        keys = self._keys_for(_ACTING, 0)
        self._states = lanes.stack([actor.init(self.weights(number), count, key) for number, key in enumerate(keys)])
        self._begins = np.ones((len(seeds), count), bool)
        self._copied = jax.jit(lambda weights: jax.tree.map(jnp.copy, weights))
        self._watch = RangeWatch(self._model.bin_limit)
        self._losses: dict[str, ndarray] | None = None  # the newest that were fetched
        self._watches: Watches | None = None
        self.progress = Progress()
        if path.exists():
            self._load()

    @property
    def env_steps(self) -> int:
        """Environment steps so far, action repeats included; the minimum over runs."""
        return min(batch.env_steps for batch in self.batches)

    def weights(self, number: int = 0) -> Weights:
        """Current weights of one run's model."""
        weights: Weights = self._lanes.lane(self._trainer.weights(self._state), number)
        return weights

    def seen(self, number: int = 0) -> Float[ndarray, "N V"]:
        """Rows of the vectors in one run's buffer."""
        return self._memory.seen(number)

    def finish(self) -> None:
        """Delete what only an interrupted run needs."""
        self._path.unlink(missing_ok=True)
        self._memory.remove()

    def run(self, on_progress: Callable[[int, int], None], watches: Watches | None = None) -> None:
        """Train to the end; `on_progress(done, total)` is called with environment steps.

        Args:
          on_progress: see above.
          watches: take the losses and returns; None: nothing does.

        Raises:
          FloatingPointError: the loss is no longer finite; the last saved state is kept.
          RuntimeError: an environment fails again and again.
        """
        config, saved = self._config, self.env_steps
        self._watches = watches
        if self.updates < config.offline_updates:
            self._learn_offline(on_progress)
        elif not self.env_steps and not self.updates:
            self._evaluate()  # first point of the curve: performance before any learning
        with ThreadPoolExecutor(1, "updates") as learner:
            while self.env_steps < config.steps:
                begun = time.perf_counter()
                self._tick(learner)
                self.progress.seconds += time.perf_counter() - begun
                self._show_losses()
                on_progress(self.env_steps, config.steps)
                done = self.env_steps >= config.steps
                if done or self.env_steps // config.evaluate_every > self.progress.evaluated:
                    self._evaluate()
                if done or self.env_steps - saved >= config.save_every:
                    self._save()
                    saved = self.env_steps

    @property
    def _counts_rewards(self) -> bool:
        objective = self._trainer.objective
        return objective.reward > 0 or objective.value > 0

    @property
    def updates(self) -> int:
        """Gradient steps so far, of each model."""
        return int(self._lanes.lane(self._state.update, 0))

    def _learn_offline(self, on_progress: Callable[[int, int], None]) -> None:
        """Run the updates on the offline data alone, and log the result."""
        total = self._config.offline_updates
        while (left := total - self.updates) > 0:
            begun = time.perf_counter()
            self._update(min(left, _OFFLINE))
            self.progress.seconds += time.perf_counter() - begun
            self._show_losses()
            on_progress(total - max(0, left - _OFFLINE), total)
            if left <= _OFFLINE:
                self._evaluate()
            self._save()

    def _tick(self, learner: Executor) -> None:
        """Execute one decision in each environment, with its updates once the random phase is over."""
        config, decisions, seeds = self._config, self.progress.decisions, self._seed_decisions
        if decisions < seeds:
            self._remember_all(self._step(self._random(self._keys_for(_SEEDS, decisions))))
            if self.progress.decisions >= seeds:  # caught up immediately
                if self._fit_pictures:
                    self._state = self._trainer.with_pictures(self._state, *self._memory.pictures())
                for _ in range(seeds // 100):
                    self._update(100)
            return
        weights = self._copied(self._trainer.weights(self._state))  # updates donate their input buffers
        learning = learner.submit(self._update, config.updates * config.environments)
        steps = self._step(self._explore(weights, self._keys_for(_ACTING, decisions)))
        learning.result()
        self._remember_all(steps)

    def _step(self, actions: Float[ndarray, "S E A"]) -> list[Steps]:
        return [batch.step(chosen) for batch, chosen in zip(self.batches, actions, strict=True)]

    def _remember_all(self, steps: Sequence[Steps]) -> None:
        self._memory.remember(self._begins, steps)
        if self._counts_rewards:
            self._watch.see(np.stack([each.rewards for each in steps]), "rewards")
        self._begins = np.stack([each.terminated | each.truncated for each in steps])
        self.progress.decisions += self._config.environments
        if self._memory.has_pictures and any(each.dropped.any() for each in steps):
            self._save()  # before the pictures of what was taken back are overwritten

    def _update(self, count: int) -> None:
        if not count:
            return
        keys = self._lanes.stack(self._keys)
        self._state, metrics = self._memory.learn(self._trainer, self._state, keys, count)
        if int(self.progress.decisions) % 1000 < self._config.environments:  # fetching waits for the device
            values = {name: np.asarray(value) for name, value in jax.device_get(metrics).items()}
            if not np.isfinite(values["loss"]).all():
                raise FloatingPointError(
                    f"training diverged after {self.progress.decisions} decisions (loss {values['loss'].tolist()}): "
                    "lower training.learning_rate; what was saved before is kept"
                )
            if self._counts_rewards:
                self._watch.see(values["largest_target"], "returns")
            self._losses = values

    def _show_losses(self) -> None:
        """Give the newest losses to the watches, from the thread of the loop."""
        losses, self._losses = self._losses, None
        if losses is not None and self._watches is not None:
            steps = [batch.env_steps for batch in self.batches]
            self._watches.learned(losses, steps, self.updates, self.progress.seconds)

    def _explore(self, weights: Weights, keys: Sequence[PRNGKeyArray]) -> Float[ndarray, "S E A"]:
        lanes = self._lanes
        if self._memory.has_pictures:
            moments = self._memory.recent(self.batches[0].observations, self._begins[0])
            only, self._states = self._actor.explore_moments(weights, self._states, *moments, self._begins[0], keys[0])
            return only[None]
        seen = lanes.stack([batch.observations for batch in self.batches])
        begins = lanes.stack(list(self._begins))
        actions, self._states = self._actor.explore_together(
            lanes, weights, self._states, seen, begins, lanes.stack(keys)
        )
        return np.reshape(actions, (len(keys), self._config.environments, -1))

    def _random(self, keys: Sequence[PRNGKeyArray]) -> Float[ndarray, "S E A"]:
        task, shape = self._task, (self._config.environments, self._task.action_size)
        share = np.stack([jax.random.uniform(key, shape) for key in keys])
        return task.low + share * (task.high - task.low)

    def _evaluate(self) -> None:
        keys, updates = self._keys_for(_EVALUATION, 0), self.updates
        for number, (seed, batch) in enumerate(zip(self._seeds, self.batches, strict=True)):
            weights = self.weights(number)
            calm, model = CalmActor(self._actor, weights, keys[number]), freeze_reward_model(weights, self._model)
            returns = episode_returns(self._make_task, calm, self._config.evaluate_episodes, seed, model=model)
            self._evaluated(seed, batch.env_steps, updates, self.progress.seconds, returns)
            if self._watches is not None:
                self._watches.evaluated(number, batch.env_steps, updates, returns)
        self.progress.evaluated = self.env_steps // self._config.evaluate_every

    def _keys_for(self, purpose: int, number: int) -> list[PRNGKeyArray]:
        """Random keys, one for each run."""
        return [_fold(key, np.int32(purpose), np.int32(number)) for key in self._keys]

    def _learned(self) -> dict[str, Any]:
        return {"td": self._state, "replay": self._memory.replay, "acting": self._states}

    def _save(self) -> None:
        self._memory.flush()
        if self._watches is not None:
            self._watches.flush()
        save_run(self._path, self._learned(), self.batches, self._begins, vars(self.progress), self._fingerprint)

    def _load(self) -> None:
        stored, self._begins, progress = load_run(self._path, self._learned(), self.batches, self._fingerprint)
        self._state, self._memory.replay, self._states = stored["td"], stored["replay"], stored["acting"]
        self.progress = Progress(**progress)
        logger.info("going on from environment step %d in %s", self.env_steps, self._path)


@jax.jit
def _fold(key: PRNGKeyArray, purpose: Int[Array, ""], number: Int[Array, ""]) -> PRNGKeyArray:
    return jax.random.fold_in(jax.random.fold_in(key, purpose), number)
