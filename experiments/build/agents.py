"""From composed settings to agents: planner, costs, constraints and the bounds of the actions around a model."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from omegaconf import DictConfig, OmegaConf

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

from .settings import checked, make

if TYPE_CHECKING:  # it imports MuJoCo, which a robot may not have
    from envs.reward_task import RewardTask


def action_spec(task: Task) -> ActionSpec:
    """The task's bounds and control period."""
    space: Any = task.action_space
    return ActionSpec.of(space.low, space.high, task.control_period)


def reward_spec(task: RewardTask, needs_period: bool = False) -> ActionSpec:
    """The bounds of a reward task, and the time between two decisions.

    Args:
      task: the reward task.
      needs_period: whether anything depends on that time: a robot's contract, a limit on a rate. A search for rewards
        does not, and has a second where the environment says nothing.

    Raises:
      ValueError: the time is needed, and nothing says it.
    """
    known = math.isfinite(task.control_period)
    if needs_period and not known:
        raise ValueError(
            f"{task.name} does not say how often it acts (it has no attribute dt): add control_period=SECONDS, from "
            "one decision to the next"
        )
    return ActionSpec.of(task.low, task.high, task.control_period if known else 1.0)


def control_period(cfg: DictConfig) -> float | None:
    """The seconds between two actions that the settings give, if they do.

    Raises:
      ValueError: it is no number.
    """
    period = cfg.get("control_period")
    return None if period is None else float(checked(period, float, "control_period"))


def planner(cfg: DictConfig) -> Planner[Any]:
    """The planner of the settings."""
    return make(cfg.planner, "planner")


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
    """The agent that plans in `model` to control `task`; `precision=auto` is settled here, by a measurement.

    Raises:
      ValueError: the parts do not fit each other, or the model was trained for other sensors or actions.
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
    """The same for any actuators: no task is needed.

    Raises:
      ValueError: the parts do not fit each other.
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
    """The planner with some candidates of each plan from the model's policy, and the proposal that makes them.

    Args:
      search: the planner; one that takes no given candidates stays as it is.
      prior: how many candidates, and their noise; of a count of 0, none.
    """
    if not prior.count or not isinstance(search, TakesProposals):
        return search, ()
    changed: Any = search
    return dataclasses.replace(changed, proposals=(*changed.proposals, Given(prior.count))), (prior,)


ACTORS = ("planner", "policy")


@dataclass(frozen=True)
class ActorConfig:
    """Who acts.

    Raises:
      ValueError: an actor that does not exist, or a count or noise that is negative.
    """

    actor: str = "planner"  # or policy: no planner at all
    suggestions: int = 16  # candidates of each plan from the policy
    suggestion_noise: float = 0.3  # on all of them but the first, share of the half range

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
    """Agents of a model that learned from rewards, one for each set of weights.

    Args:
      cfg: the settings of the command; `planner` is read from them.
      config: of the model.
      actor: how many candidates come from the policy, and with which noise.
      spec: of the actions, in raw units.
      discount: of one decision.

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
