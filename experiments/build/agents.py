"""Builders of agents from composed settings: a model with planner, costs, constraints and action bounds."""

from __future__ import annotations

import dataclasses
import math
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from omegaconf import DictConfig, OmegaConf, open_dict

from envs import Task
from planning import (
    ActionSpec,
    Agent,
    Constraint,
    Cost,
    Given,
    LatentModel,
    ModelProposal,
    Planner,
    PolicyPrior,
    Return,
    TakesProposals,
    fastest_precision,
)
from worldmodel.models.freeze import Weights, freeze_reward_model
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import ObservationSpec

from ..shell.folders import config_dir
from .settings import checked, make, settings_of

if TYPE_CHECKING:  # imports MuJoCo, which a robot may not have
    from envs.reward_task import RewardTask


def action_spec(task: Task) -> ActionSpec:
    """The task's bounds and control period."""
    space: Any = task.action_space
    return ActionSpec.of(space.low, space.high, task.control_period)


def reward_spec(task: RewardTask, needs_period: bool = False) -> ActionSpec:
    """The action bounds of a reward task, and the time between two decisions.

    Args:
      task: the reward task.
      needs_period: whether anything depends on that time, such as a robot's contract or a rate limit. Planning for
        return does not; it uses 1 s where the environment does not define the time.

    Raises:
      ValueError: the time is needed and not defined.
    """
    known = math.isfinite(task.control_period)
    if needs_period and not known:
        raise ValueError(
            f"{task.name} does not define its control period (it has no attribute dt): add control_period=SECONDS, "
            "from one decision to the next"
        )
    return ActionSpec.of(task.low, task.high, task.control_period if known else 1.0)


def control_period(cfg: DictConfig) -> float | None:
    """Seconds between two actions from the setting `control_period`; None if it is null.

    Raises:
      ValueError: the setting is not a number.
    """
    period = cfg.get("control_period")
    return None if period is None else float(checked(period, float, "control_period"))


def planner(cfg: DictConfig) -> Planner[Any]:
    """The planner of the settings; what the task says of another planner's search does not count."""
    node = deepcopy(cfg.planner)  # a copy that still finds what its interpolations name
    known = settings_of(node)
    with open_dict(node):
        for name, value in _task_settings(str(cfg.task.name)).get("planner", {}).items():
            if known and name not in known and node.get(name) == value:
                del node[name]
    return make(node, "planner")


def _task_settings(name: str) -> DictConfig:
    """Settings in the file of a task; none where it has no file."""
    file = config_dir() / "task" / f"{name}.yaml"
    found = OmegaConf.load(file) if file.is_file() else OmegaConf.create({})
    assert isinstance(found, DictConfig)
    return found


def costs(cfg: DictConfig) -> tuple[dict[str, Cost], dict[str, float]]:
    """Costs by name, and their weights."""
    built, weights = {}, {}
    for name, node in cfg.cost.items():
        values = OmegaConf.create({key: value for key, value in node.items() if key != "weight"})
        built[str(name)] = make(values, f"cost.{name}")
        weights[str(name)] = float(checked(node.get("weight", 1.0), float, f"cost.{name}.weight"))
    return built, weights


def constraints(cfg: DictConfig) -> dict[str, Constraint]:
    """Constraints by name."""
    return {str(name): make(node, f"constraint.{name}") for name, node in cfg.constraint.items()}


def agent(cfg: DictConfig, model: LatentModel, task: Task) -> Agent:
    """The agent that controls `task` by planning in `model`; `precision=auto` is resolved here by a measurement.

    Raises:
      ValueError: the parts are incompatible, or the model was trained for other sensors or actions.
    """
    has, knows = ObservationSpec.of(task.sensors), ObservationSpec.of(model.observation.sensors)
    if has.size != knows.size:
        raise ValueError(
            f"the model was trained on {knows.size} sensor values, and {task.name} gives {has.size}: choose the task "
            "that it was trained for"
        )
    for own, other in zip(has.sensors, knows.sensors, strict=False):
        if (own.name, own.shape, own.dtype, own.optional) != (other.name, other.shape, other.dtype, other.optional):
            raise ValueError(
                f"the model was trained with the sensor {other.name} {list(other.shape)}, and {task.name} has "
                f"{own.name} {list(own.shape)} in its place: choose the task that it was trained for"
            )
    return agent_for(cfg, model, action_spec(task))


def agent_for(cfg: DictConfig, model: LatentModel, spec: ActionSpec) -> Agent:
    """The agent that plans in `model` for actuators with `spec`; needs no task.

    Raises:
      ValueError: the parts are incompatible.
    """
    built, weights = costs(cfg)
    search: Planner[Any] = planner(cfg)
    proposals: tuple[ModelProposal, ...] = ()
    if model.heads.policy is not None:
        search, proposals = with_suggestions(search, PolicyPrior(int(cfg.suggestions)))
    result = Agent(
        model,
        search,
        built,
        dict(weights),
        spec,
        int(cfg.replan_every),
        constraints=constraints(cfg),
        risk=make(cfg.risk, "risk"),
        precision=str(cfg.precision),
        proposals=proposals,
        members=cfg.members if cfg.members is None else int(cfg.members),
    )
    result.validate()
    return fastest_precision(result)


def with_suggestions(search: Planner[Any], prior: PolicyPrior) -> tuple[Planner[Any], tuple[ModelProposal, ...]]:
    """The planner with candidates from the model's policy in each plan, and the proposal that makes them.

    Args:
      search: the planner; returned unchanged if it takes no proposals.
      prior: number of candidates and their noise; a count of 0 adds none.
    """
    if not prior.count or not isinstance(search, TakesProposals):
        return search, ()
    changed: Any = search
    return dataclasses.replace(changed, proposals=(*changed.proposals, Given(prior.count))), (prior,)


ACTORS = ("planner", "policy")


@dataclass(frozen=True)
class ActorConfig:
    """The actor that collects experience, and the policy's candidates in its plans.

    Raises:
      ValueError: the actor is unknown, or the count or noise is negative.
    """

    actor: str = "planner"  # or policy: without a planner
    suggestions: int = 16  # candidates of each plan from the policy
    suggestion_noise: float = 0.3  # on all but the first of them, share of the half range

    def __post_init__(self) -> None:
        if self.actor not in ACTORS:
            raise ValueError(f"online.actor must be {' or '.join(ACTORS)}; got {self.actor!r}")
        if self.suggestions < 0 or self.suggestion_noise < 0:
            raise ValueError(
                f"online.suggestions and online.suggestion_noise must not be negative; got {self.suggestions} and "
                f"{self.suggestion_noise}"
            )


@final
class RewardAgents:
    """Factory of agents with a model that learned from rewards, one for each set of weights.

    Args:
      cfg: the settings of the command; `planner` is read from them.
      config: the model's configuration.
      actor: number of candidates from the policy, and their noise.
      spec: the action spec, in raw units.
      discount: discount factor of one decision.

    Raises:
      ValueError: the planner cannot plan for these actions.
    """

    def __init__(
        self, cfg: DictConfig, config: RewardModelConfig, actor: ActorConfig, spec: ActionSpec, discount: float
    ):
        self.config, self.spec, self._discount = config, spec, discount
        prior = PolicyPrior(actor.suggestions, actor.suggestion_noise)
        self._planner, self._proposals = with_suggestions(planner(cfg), prior)

    def agent(self, weights: Weights) -> Agent:
        """The agent with these weights."""
        costs: dict[str, Cost] = {"return": Return(self._discount)}
        model = freeze_reward_model(weights, self.config)
        return Agent(model, self._planner, costs, {"return": 1.0}, self.spec, proposals=self._proposals)
