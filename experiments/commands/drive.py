"""`jepa-mpc drive`: the simulator in one process, the controller in another, in ideal, delayed or real time."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import envs
from envs import Task
from envs.mujoco_task import MujocoTask
from planning.control import Fallback, LiveEngine, Loop, Planning, RealtimeController, Recipe
from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import load_model
from worldmodel.observation import ObservationSpec

from .. import build
from ..build import goal_tasks
from ..build.embeddings import mean_pictures
from ..build.goal_tasks import is_goal_task
from ..build.learned import asked_for
from ..build.published import checkpoint_file
from ..build.recipes import Paths, file_name
from ..build.sensor_ranges import contract_words
from ..driving.session import Drive, VirtualClock, fail_if_failed
from ..driving.simulator.client import Simulator
from ..driving.simulator.messages import Setup
from ..driving.summary import Summary, show
from ..driving.view.expectation import Expectation
from ..driving.view.page import View
from ..driving.view.sight import Sight
from ..pages.figures import to_png
from ..pages.sheet import sheet
from ..pictures.goal import Target
from ..pictures.memory import load_memory, memory_file
from ..records.promises import log_level
from ..shell.overrides import command_line
from ..shell.progress import COMPILING
from ..shell.say import say
from ..training.ensure import chosen_checkpoint

# Settings fixed by a bundle.
OF_BUNDLES = ("planner", "cost", "constraint", "risk", "members", "precision", "replan_every", "suggestions", "model")


def run(cfg: DictConfig) -> Summary:
    """Drive until the episodes or the seconds are used up, or until an interrupt; always print the summary.

    Raises:
      ValueError: inconsistent settings.
      ConnectionError: the simulator or the planner ended.
    """
    summary = Summary("", str(cfg.timing))
    with ExitStack() as stack:
        # The guards' results are counted in the summary and shown on the page.
        stack.enter_context(log_level("planning.control.realtime", logging.ERROR))
        drive, target = _prepare(cfg, summary, stack)
        try:
            drive.run()
        finally:
            summary.events = drive.controller.events.counts
            show(summary)
    if target is not None and drive.ends:
        out = Path(cfg.runs) / f"{file_name(summary.task)}-drive-goal.png"
        ends = {name: [each[name] for each in drive.ends] for name in target.pictures}
        figure = sheet(f"{summary.task}: the last moment of each episode", target.pictures, [("drive", ends)])
        write_atomically(out, to_png(figure))
        say(f"last moments beside the goal: {out}")
    return summary


def _prepare(cfg: DictConfig, summary: Summary, stack: ExitStack) -> tuple[Drive, Target | None]:
    """Start all processes and views; `stack` closes them."""
    planner, task, spec, model = _planner(cfg)
    summary.task, contract = task.name, planner.contract
    observes, latent_size = ObservationSpec.of(contract.observation.sensors), contract.latent_size
    needed = bool(observes.pictures) and (cfg.view or cfg.goal is not None)
    memory = load_memory(model, observes, latent_size) if needed else None
    target = Target.of(cfg, task, observes, memory, model)
    summary.known = target is None or target.at is not None
    virtual = cfg.timing != "wallclock"
    delay = {"ideal": 0.0, "delay": 0.04, "wallclock": 0.0}[cfg.timing]
    if cfg.delay_ms is not None:
        if cfg.timing == "ideal" and cfg.delay_ms:
            raise ValueError("timing=ideal has no delay: leave delay_ms out, or take timing=delay")
        delay = float(cfg.delay_ms) / 1e3
    deadline = None if cfg.deadline_ms is None else float(cfg.deadline_ms) / 1e3
    fault = None if cfg.fault is None else str(cfg.fault)
    setup = Setup(
        task.name,
        not virtual,
        delay,
        deadline or task.control_period,
        fault,
        float(cfg.fault_at),
        int(cfg.seed),
        *goal_tasks.chosen_sensors(task),
    )
    simulator = stack.enter_context(Simulator(setup))
    clock = VirtualClock() if virtual else time.monotonic
    controller = RealtimeController(
        planner,
        Loop(
            actuation_delay=delay,
            compensate=bool(cfg.compensate),
            rate_limit=_rate(cfg),
            least_trust=float(cfg.least_trust),
        ),
        Planning(
            deadline=deadline,
            surprise=planner.surprise if isinstance(planner, Recipe) else None,
            imagine=bool(cfg.view),
            log=cfg.telemetry is not None,
        ),
        Fallback(hold_seconds=float(cfg.hold_seconds), reflex="model" if planner.contract.reflex else None),
        worker="inline" if virtual else "process",
        seed=int(cfg.seed),
        telemetry=None if cfg.telemetry is None else str(cfg.telemetry),
        clock=clock,
    )
    Console(stderr=True).print(f"the planner: {COMPILING}")
    stack.enter_context(controller)
    _wait_until_ready(controller)
    view = None
    if cfg.view:
        sight = None
        if observes.pictures:
            asked = None if memory is None else stack.enter_context(Expectation(spec, memory_file(model)))
            sight = Sight(contract, memory, asked)
        at = str(cfg.host), int(cfg.port)
        view = stack.enter_context(View(task, controller.weights, setup.deadline, *at, sight, bool(cfg.view_dark)))
        Console().print(f"watch and steer at {view.address}; Ctrl-C ends", soft_wrap=True)
    stepped = clock if isinstance(clock, VirtualClock) else None
    return Drive(cfg, task, simulator, controller, view, summary, stepped, target), target


def _planner(cfg: DictConfig) -> tuple[LiveEngine | Recipe, Task, dict[str, Any], Path]:
    """Create the planner, the task that it is for, the description of its engine, and the path of its model."""
    if cfg.bundle is not None:
        if cfg.checkpoint is not None:
            raise ValueError("give a checkpoint or a bundle, not both")
        recipe = Recipe.bundle(str(cfg.bundle))
        _fits_bundle(cfg, recipe.contract.task)
        if not is_goal_task(recipe.contract.task):
            raise ValueError(
                f"{cfg.bundle} was made for {recipe.contract.task or 'a robot without a name'}, which no simulator "
                f"here steps: there are {', '.join(envs.task_names())}"
            )
        _with_actuators(recipe.contract.task)
        task = goal_tasks.observed(recipe.contract.task, recipe.contract.observation.sensors)
        return recipe, task, recipe.spec, Path(cfg.bundle)
    if is_goal_task(str(cfg.task.name)):
        _with_actuators(str(cfg.task.name))  # before a model is trained for it
    chosen_checkpoint(cfg, int(cfg.seed), "drive")
    trained = Paths.of(cfg, int(cfg.seed)).model
    path = (
        trained if cfg.checkpoint is None else checkpoint_file(cfg.checkpoint, cfg.task.name, cfg.observation.sensors)
    )
    arguments: dict[str, Any] = {"checkpoint": str(path), "settings": OmegaConf.to_container(cfg, resolve=True)}
    task = goal_tasks.of_model(load_model(path))
    factory = "experiments.commands.drive:engine"
    spec = {"factory": factory, "arguments": arguments}
    if cfg.timing == "wallclock":
        return Recipe.factory(factory, **arguments), task, spec, path
    return engine(**arguments), task, spec, path


def _with_actuators(name: str) -> Task:
    """Load the task `name`, whose physics the simulator process can step.

    Raises:
      ValueError: MuJoCo does not simulate it, or its actions are not the inputs of MuJoCo's actuators.
    """
    task = envs.make(name)
    if not isinstance(task, MujocoTask) or task.model.nu != task.physics.action_size:
        raise ValueError(
            f"`jepa-mpc drive` steps MuJoCo itself, with the actions on the model's actuators, and {name} is not such "
            f"a task: measure with `{command_line('plan', {'task': name})}`, or make a bundle with `jepa-mpc export` "
            "and call its Controller from your own loop"
        )
    return task


def _fits_bundle(cfg: DictConfig, made_for: str) -> None:
    """Raise ValueError if the command line contradicts the bundle, which contains these settings."""
    words = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    for key in asked_for(words):
        if key.partition(".")[0] in OF_BUNDLES:
            raise ValueError(f"{cfg.bundle} brings its own {key} along: leave it out, or export another bundle with it")
        if key in ("task", "task.name") and cfg.task.name != made_for:
            raise ValueError(f"{cfg.bundle} was made for the task {made_for}: leave task={cfg.task.name} out")


def engine(checkpoint: str, settings: dict[str, Any]) -> LiveEngine:
    """Create the engine of a model file with the settings of `jepa-mpc plan`; a planner process creates its own."""
    cfg = OmegaConf.create(settings)
    loaded = load_model(checkpoint)
    task = goal_tasks.of_model(loaded)
    pictures = mean_pictures(loaded.model)
    return LiveEngine(build.agent(cfg, loaded.model, task), task.name, pictures, **contract_words(loaded))


def _rate(cfg: DictConfig) -> float | None:
    return None if cfg.rate_limit is None else float(cfg.rate_limit)


def _wait_until_ready(controller: RealtimeController) -> None:
    while not controller.ready:
        fail_if_failed(controller)
        time.sleep(0.01)
