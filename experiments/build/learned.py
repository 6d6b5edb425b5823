"""Models that learned from rewards, ready to act: task, settings and agent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from envs.registry import make_reward_task, usual_action_repeat
from envs.reward_task import RewardTask
from planning import ActionSpec, Agent, fastest_precision
from worldmodel.models.checkpoint import RewardCheckpoint, load_reward_model

from ..shell.overrides import override
from ..shell.renamed import current
from . import agents, reward_tasks
from .reward_metadata import check_metadata
from .settings import compose

# Groups that these models do not use: other costs, members of an ensemble, data.
_FOREIGN: tuple[str, ...] = ("cost", "risk", "members", "suggestions", "model", "training", "behaviour", "collection")
_FOREIGN += ("data", "seeds")


@dataclass(frozen=True)
class Learned:
    """A model for rewards and the settings of `jepa-mpc plan` for it."""

    checkpoint: RewardCheckpoint
    cfg: DictConfig

    @property
    def task(self) -> str:
        """The name of the task that it learned on."""
        return str(self.checkpoint.metadata["task"])

    @property
    def action_repeat(self) -> int:
        """Control steps in one decision."""
        repeat = self.checkpoint.metadata["settings"]["online"].get("action_repeat")
        return usual_action_repeat(self.task) if repeat is None else int(repeat)

    def make_task(self) -> RewardTask:
        """The environment that it learned in, with its action repeat and its sensors."""
        return reward_tasks.seen_by(self.make_blind_task(), self.checkpoint.model.observation)

    def make_blind_task(self) -> RewardTask:
        """The same, observed by its own vector: for what reads the simulator's state, where pictures would cost."""
        period = agents.control_period(self.cfg)
        if period is None:
            period = self.checkpoint.metadata.get("control_period")
        return make_reward_task(self.task, self.action_repeat, period)

    def agent(self, spec: ActionSpec | None = None, needs_period: bool = False) -> Agent:
        """The agent, with the planner of the settings.

        Args:
          spec: the action spec; None: the task's own.
          needs_period: whether the agent runs outside the simulator and needs a known control period.

        Raises:
          ValueError: the parts are incompatible, or the control period is needed and not defined.
        """
        model, online = self.checkpoint.model, self.cfg.online
        if spec is None:
            task = self.make_blind_task()
            task.close()
            spec = agents.reward_spec(task, needs_period or bool(self.cfg.constraint))
        actor = agents.ActorConfig("planner", int(online.suggestions), float(online.suggestion_noise))
        discount = float(self.checkpoint.metadata["discount"])
        agent = replace(
            agents.RewardAgents(self.cfg, model.config, actor, spec, discount).agent(model.params),
            replan_every=int(self.cfg.replan_every),
            constraints=agents.constraints(self.cfg),
            precision=str(self.cfg.precision),
        )
        agent.validate()
        return fastest_precision(agent)


def learned(path: str | Path, *overrides: str) -> Learned:
    """The model at `path`, with the planner of its training as changed by `overrides` of `jepa-mpc plan`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not a model for rewards, or the settings do not fit it.
    """
    checkpoint = load_reward_model(path)
    overrides = tuple(current(overrides))
    if wrong := [word for word in overrides if word.startswith("method=") and word != "method=td"]:
        raise ValueError(f"{path} was trained by method=td, but {wrong[0]} was requested: leave that out")
    given = asked_for(overrides)
    check_metadata(path, checkpoint.metadata, own_planner="planner" in given or "planner._target_" in given)
    name, stored = str(checkpoint.metadata["task"]), checkpoint.metadata["settings"]
    for key in given:
        if key.partition(".")[0] in _FOREIGN:
            raise ValueError(f"{key} has no effect on a model that learned from rewards, such as {path}: leave it out")
    if {"task", "task.name"} & set(given) and (other := str(compose("plan", *overrides).task.name)) != name:
        raise ValueError(f"{path} learned on the task {name}, but task={other} was requested: add task={name}")
    cfg = compose(
        "plan",
        "method=td",
        "task=reward",
        override("task.name", name),
        *(each for each in overrides if each != "method=td"),
    )
    chosen = OmegaConf.create({"planner": stored["planner"], "online": {**cfg.online, **stored["online"]}})
    for key in given:  # the planner of the training, with the requested changes
        if key.partition(".")[0] in chosen:
            OmegaConf.update(chosen, key, OmegaConf.select(cfg, key), merge=False)
    with open_dict(cfg):
        cfg.planner, cfg.online, cfg.task.name = chosen.planner, chosen.online, name
    return Learned(checkpoint, cfg)


def asked_for(overrides: Any) -> list[str]:
    """The keys of Hydra overrides, groups with a dot for each slash."""
    return [str(word).partition("=")[0].partition("@")[0].lstrip("+~").replace("/", ".") for word in overrides]
