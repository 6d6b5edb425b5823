"""Early stopping by planning success: a stage that trains the critic ends once its plans reach enough goals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from omegaconf import DictConfig

import envs
from planning import Agent
from worldmodel.models.freeze import FrozenModel, freeze
from worldmodel.models.goal_model import ModelConfig
from worldmodel.training.trainer import Trainer, TrainState

from .. import build
from ..build.recipes import CUSTOM, settings
from ..evaluation.goals.protocols import Pairs, selection
from ..evaluation.goals.rollout import run_episodes
from ..evaluation.policy import ModelPolicy

logger = logging.getLogger(__name__)

STAGES = ("joint", "critic")  # in which the critic learns, so that more updates can make better plans


@dataclass(frozen=True)
class EarlyStop:
    """How often success is checked, and how much of it ends the stage.

    A known limitation: the learning rate decays over the whole stage, so a stage that ends early ends at a higher rate.

    Raises:
      ValueError: more successes than episodes.
    """

    every: int  # updates of a stage between two checks
    episodes: int  # held-out pairs of start and goal in a check
    successes: int  # of them, from which on the stage ends

    def __post_init__(self) -> None:
        if self.successes > self.episodes:
            raise ValueError(
                f"early_stop.successes must be at most early_stop.episodes; got {self.successes} and {self.episodes}"
            )

    @classmethod
    def of(cls, cfg: DictConfig) -> EarlyStop | None:
        """Early stopping in the settings of a command; None where it is off.

        Raises:
          ValueError: invalid settings, or a task without a simulator.
        """
        node = cfg.get("early_stop")
        if node is None or node.every is None:
            return None
        if cfg.task.name == CUSTOM:
            raise ValueError(
                f"early_stop plans in a simulator, which task={CUSTOM} does not have: leave early_stop.every out"
            )
        return build.fill(cls, settings(node), "early_stop")


@final
class EarlyStopping:
    """Checks between compiled training calls, each a function of the weights and the seed.

    Args:
      settings: how often, and how much success is enough.
      trainer: of the model.
      config: the model's architecture.
      agent: makes the planner of a model.
      task: the simulator.
      seed: of the training.
      checks: results of a run that is resumed, oldest first.

    Raises:
      ValueError: the checks do not fit the stages.
    """

    def __init__(
        self,
        settings: EarlyStop,
        trainer: Trainer,
        config: ModelConfig,
        agent: Callable[[FrozenModel], Agent],
        task: envs.Task,
        seed: int,
        checks: Sequence[Mapping[str, Any]] = (),
    ):
        self.checks = [dict(check) for check in checks]  # JSON
        self._settings, self._trainer, self._config = settings, trainer, config
        self._agent, self._task, self._seed = agent, task, seed
        self._pairs: Pairs = selection(task, settings.episodes, seed)
        call, every = trainer.config.updates_per_call, settings.every
        if every % call:
            raise ValueError(
                f"early_stop.every must be a multiple of training.updates_per_call; got {every} and {call}"
            )
        lengths = {name: len(trainer.stages.get(name, ())) for name in STAGES}
        if every >= max(lengths.values()):
            shown = " and ".join(f"{name} of {length}" for name, length in lengths.items())
            raise ValueError(
                f"early_stop.every={every} checks nothing, since it counts updates of the stages {shown}: make it "
                "smaller, or raise training.updates or training.critic_updates"
            )

    def __call__(self, state: TrainState) -> TrainState:
        """Return the state to go on from: at the end of its stage if a check is due and finds enough successes."""
        update = int(state.update)
        stage = self._trainer.stage(update - 1)
        updates = self._trainer.stages[stage]
        if stage not in STAGES or update == updates.stop or (update - updates.start) % self._settings.every:
            return state
        agent = self._agent(freeze(self._trainer.model(state), self._config))
        records = run_episodes(self._task, ModelPolicy(agent, self._seed), self._pairs, model=agent.model)
        successes = self._trainer.devices.agreed(sum(record.success for record in records))
        stops = successes >= self._settings.successes
        self.checks.append(
            {"update": update, "stage": stage, "episodes": len(records), "successes": successes, "stopped": stops}
        )
        logger.info(
            "update %d: %d of %d held-out goals reached%s",
            update,
            successes,
            len(records),
            f", enough to end the stage {stage!r} {updates.stop - update} updates early" if stops else "",
        )
        return self._trainer.skip_stage(state) if stops else state


def selection_agent(cfg: DictConfig, task: envs.Task) -> Callable[[FrozenModel], Agent]:
    """Maker of agents with the recipe's planner and cost.

    `precision=auto` counts as float32 here: it depends on a measurement, and a resumed run has to decide alike.
    """
    fixed = cfg.copy()
    if fixed.precision == "auto":
        fixed.precision = "float32"
    return lambda model: build.agent(fixed, model, task)
