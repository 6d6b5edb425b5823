"""From composed settings to objects: Hydra chooses the leaves, plain Python puts them together.

A node with `_target_` names a class of ours (or of a user's), whose fields are the node's other keys. The class stays
the source of what the fields are and what type they have; a value of another type is told by its name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import hydra
import hydra.utils
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

import envs
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
    fastest_precision,
)
from planning.control import Controller
from worldmodel.checkpoint import REWARD_MODEL, kind_of, load_model

from .published import PUBLISHED, checkpoint_file, tasks
from .sensor_ranges import contract_words
from .shell.folders import config_dir
from .shell.limits import check
from .shell.overrides import readable

if TYPE_CHECKING:  # it imports MuJoCo, which a robot may not have
    from envs.reward_task import RewardTask

T = TypeVar("T")


def make(node: DictConfig, name: str) -> Any:
    """The dataclass that `node._target_` names, with the node's values, checked against the types of its defaults.

    Raises:
      ValueError: a target that cannot be imported or is not a dataclass, an unknown field, or a value of a wrong type.
    """
    values = _plain(node)
    target = values.pop("_target_", None)
    try:
        cls = hydra.utils.get_class(str(target))
    except Exception as error:  # Hydra wraps whatever the import raised
        raise ValueError(
            f"{name}._target_={target} cannot be imported: give the dotted name of a class, whose module is installed "
            "or lies in the current folder"
        ) from error
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"{name}._target_={target} is not a dataclass, so its settings cannot be read")
    return fill(cls, values, name)


def fill(cls: type[T], values: Mapping[str, Any], name: str) -> T:
    """`cls(**values)` for a dataclass, with nested targets built and every value checked."""
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{name}.{unknown[0]} is not a setting of {cls.__name__}: it has {', '.join(fields)}")
    hints = get_type_hints(cls)
    # A default tells the type more plainly than a planner's annotation, which admits traced arrays too.
    kinds = {
        key: hints.get(key) if field.default is dataclasses.MISSING else type(field.default)
        for key, field in fields.items()
    }
    return cls(**{key: _checked(value, kinds[key], f"{name}.{key}") for key, value in values.items()})


def compose(command: str, *overrides: str) -> DictConfig:
    """The settings that `jepa-mpc COMMAND OVERRIDES` runs with, also from within a command."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()  # there can be one at a time
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
            return check(hydra.compose(command, readable(overrides, multirun=False)))
    finally:
        GlobalHydra.instance().hydra = running


def controller(checkpoint: str | Path, *overrides: str, task: str | None = None) -> Controller:
    """A controller on a trained model, for the task it was trained for, with the settings of `jepa-mpc plan`.

    `controller("published", task="reacher")` loads a model that jepa-mpc ships;
    `controller("runs/demo/two_room-seed0.safetensors", "planner.num_samples=64")` one of your own. Call `warmup` and
    `reset` next. A model that learned from rewards plans with the planner it learned with, and its `reset` takes no
    goal.

    Args:
      checkpoint: a model file, or "published".
      overrides: settings of `jepa-mpc plan`, as on the command line.
      task: required with "published"; with a file, the task that it must have been trained for.

    Raises:
      FileNotFoundError: no checkpoint there.
      ValueError: the file is no model, was trained for another task, or the settings do not fit it.
    """
    if str(checkpoint) == PUBLISHED and task is None:
        raise ValueError(f'"{PUBLISHED}" needs a task: add task="{tasks()[0]}", or another of {", ".join(tasks())}')
    path = checkpoint_file(checkpoint, task or "")
    if kind_of(path) == REWARD_MODEL:
        from .reward_checkpoint import learned  # which builds on this file

        wanted = [] if task is None else ["task=reward", f"task.name={task}"]
        known = learned(path, *wanted, *overrides)
        return Controller(known.agent(needs_period=True), words=contract_words(known.checkpoint))
    loaded = load_model(path)
    robot, words = loaded.metadata["task"], contract_words(loaded)
    trained_for = str(robot["task"])
    if task not in (None, trained_for):
        raise ValueError(f'{path} was trained for the task {trained_for}, not {task}: pass task="{trained_for}"')
    if trained_for in envs.TASKS:
        made = agent(compose("plan", f"task={trained_for}", *overrides), loaded.model, envs.make(trained_for))
    else:  # it learned from logs or a dataset of no task of ours: its file says what an agent needs
        spec = ActionSpec.of(robot["action_low"], robot["action_high"], robot["control_period"])
        made = agent_for(compose("plan", "task=custom", *overrides), loaded.model, spec)
    return Controller(made, words=words)


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
    return None if period is None else float(_checked(period, float, "control_period"))


def planner(cfg: DictConfig) -> Planner[Any]:
    """The planner of the settings."""
    return make(cfg.planner, "planner")


def costs(cfg: DictConfig) -> tuple[dict[str, Cost], dict[str, float]]:
    """Costs by name, and their weights."""
    built, weights = {}, {}
    for name, node in cfg.cost.items():
        values = OmegaConf.create({key: value for key, value in node.items() if key != "weight"})
        built[str(name)] = make(values, f"cost.{name}")
        weights[str(name)] = float(_checked(node.get("weight", 1.0), float, f"cost.{name}.weight"))
    return built, weights


def constraints(cfg: DictConfig) -> dict[str, Constraint]:
    """Constraints by name."""
    return {str(name): make(node, f"constraint.{name}") for name, node in cfg.constraint.items()}


def agent(cfg: DictConfig, model: LatentModel, task: Task) -> Agent:
    """The agent that plans in `model` to control `task`; `precision=auto` is settled here, by a measurement.

    Raises:
      ValueError: the parts do not fit each other, or the model was trained for other sensors or actions.
    """
    observation_shape: Any = task.observation_space.shape
    if model.observation_size != observation_shape[0]:
        raise ValueError(
            f"the model was trained on {model.observation_size} sensor values, and {task.name} gives "
            f"{observation_shape[0]}: choose the task that it was trained for"
        )
    return agent_for(cfg, model, action_spec(task))


def agent_for(cfg: DictConfig, model: LatentModel, spec: ActionSpec) -> Agent:
    """The same for any actuators: no task is needed.

    Raises:
      ValueError: the parts do not fit each other.
    """
    built, weights = costs(cfg)
    search: Any = planner(cfg)
    suggestions = int(cfg.suggestions)
    proposals: tuple[ModelProposal, ...] = ()
    if suggestions and getattr(model, "policy", None) is not None and hasattr(search, "with_given"):
        search = dataclasses.replace(search, proposals=(*search.proposals, Given(suggestions)))
        proposals = (PolicyPrior(suggestions),)
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


def _checked(value: Any, hint: Any, name: str) -> Any:
    if isinstance(value, dict) and "_target_" in value:
        return make(OmegaConf.create(value), name)
    if isinstance(value, list):  # YAML has no tuples, and a list cannot be static under jit
        return tuple(_checked(each, None, f"{name}[{index}]") for index, each in enumerate(value))
    wanted = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
    if hint is int and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{name} must be {wanted[int]}; got {value!r}")
    if hint is float and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name} must be {wanted[float]}; got {value!r}")
    if hint in (str, bool) and not isinstance(value, hint):
        raise ValueError(f"{name} must be {wanted[hint]}; got {value!r}")
    return float(value) if hint is float else value


def _plain(node: DictConfig | ListConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    if not isinstance(plain, dict):
        raise ValueError(f"expected settings by name; got {plain!r}")
    return {str(key): value for key, value in plain.items()}
