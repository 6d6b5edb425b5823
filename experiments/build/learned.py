"""What was learned from rewards, ready to act: its task, the settings that it acts with, and its agent."""

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
from . import agents
from .reward_metadata import check_metadata
from .settings import compose

# What these models do not ask for: other costs, members of an ensemble, data.
_FOREIGN: tuple[str, ...] = ("cost", "risk", "members", "suggestions", "model", "training", "behaviour", "collection")
_FOREIGN += ("data", "seeds")


@dataclass(frozen=True)
class Learned:
    """A model for rewards, and the settings of `jepa-mpc plan` for it."""

    checkpoint: RewardCheckpoint
    cfg: DictConfig

    @property
    def task(self) -> str:
        """The name of the task that it learned on."""
        return str(self.checkpoint.metadata["task"])

    @property
    def action_repeat(self) -> int:
        """Control steps of one decision."""
        repeat = self.checkpoint.metadata["settings"]["online"].get("action_repeat")
        return usual_action_repeat(self.task) if repeat is None else int(repeat)

    def make_task(self) -> RewardTask:
        """The environment that it learned in, with its action repeat."""
        period = agents.control_period(self.cfg)
        if period is None:
            period = self.checkpoint.metadata.get("control_period")
        return make_reward_task(self.task, self.action_repeat, period)

    def agent(self, spec: ActionSpec | None = None, needs_period: bool = False) -> Agent:
        """The agent, with the planner of the settings.

        Args:
          spec: the task's own, unless another is given.
          needs_period: whether the agent leaves the simulator, so that its control period must be known.

        Raises:
          ValueError: the parts do not fit each other, or nothing says a control period that is needed.
        """
        model, online = self.checkpoint.model, self.cfg.online
        if spec is None:
            task = self.make_task()
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
    """The model at `path`, with the planner that it learned with, unless `overrides` of `jepa-mpc plan` say otherwise.

    Raises:
      FileNotFoundError: no file there.
      ValueError: the file is no model for rewards, or the settings do not fit it.
    """
    checkpoint = load_reward_model(path)
    overrides = tuple(current(overrides))
    if wrong := [word for word in overrides if word.startswith("method=") and word != "method=td"]:
        raise ValueError(f"{path} was trained by method=td, and {wrong[0]} was asked for: leave that out")
    asked = asked_for(overrides)
    check_metadata(path, checkpoint.metadata, own_planner="planner" in asked or "planner._target_" in asked)
    name, stored = str(checkpoint.metadata["task"]), checkpoint.metadata["settings"]
    for key in asked:
        if key.partition(".")[0] in _FOREIGN:
            raise ValueError(f"{key} says nothing to a model that learned from rewards, as {path} is: leave it out")
    if {"task", "task.name"} & set(asked) and (other := str(compose("plan", *overrides).task.name)) != name:
        raise ValueError(f"{path} learned on the task {name}, and task={other} was asked for: add task={name}")
    cfg = compose(
        "plan",
        "method=td",
        "task=reward",
        override("task.name", name),
        *(each for each in overrides if each != "method=td"),
    )
    told = OmegaConf.create({"planner": stored["planner"], "online": {**cfg.online, **stored["online"]}})
    for key in asked:  # the planner that was learned with, but for what was asked for
        if key.partition(".")[0] in told:
            OmegaConf.update(told, key, OmegaConf.select(cfg, key), merge=False)
    with open_dict(cfg):
        cfg.planner, cfg.online, cfg.task.name = told.planner, told.online, name
    return Learned(checkpoint, cfg)


def asked_for(overrides: Any) -> list[str]:
    """The keys of Hydra's overrides, groups with a point for each slash."""
    return [str(word).partition("=")[0].partition("@")[0].lstrip("+~").replace("/", ".") for word in overrides]
