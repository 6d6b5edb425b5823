"""The robot's side of a planner, put together: what runs in the loop's own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import ndarray

from .engine.contract import Contract
from .engine.embedding import Embed
from .engine.filling import Filler
from .engine.interface import Engine
from .engine.pictures import for_goals
from .log.journal import Journal
from .loop.completion import Completion
from .loop.cycle import ControlCycle
from .loop.fallback import Fallback
from .loop.settings import Loop
from .loop.telemetry import Telemetry
from .worker.recipe import Recipe, embedding_of, make_engine, reflex_of
from .worker.settings import Planning
from .worker.workers import Worker


def make_cycle(
    planner: Engine | Recipe,
    worker: Worker,
    contract: Contract,
    sides: tuple[Loop, Planning, Fallback],
    weights: ndarray,
    seed: int,
    journal: Journal,
    telemetry: Telemetry | None,
) -> tuple[ControlCycle, Embed]:
    """Build the control cycle; also return the function that embeds goals. Everything in it is compiled.

    Args:
      planner: an engine, or a recipe: then the loop has an engine of its own, where it needs one.
      worker: plans.
      contract: of the planner.
      sides: declaration of the robot's side, of the planner's, and how faults are answered.
      weights: of the costs, in the contract's order.
      seed: of the first episodes.
      journal: takes log lines, without blocking.
      telemetry: the log, if there is one.

    Raises:
      ValueError: the parts do not fit one another.
    """
    loop, planning, fallback = sides
    needed = contract.fills or not contract.observation.is_vectors
    own = make_engine(planner.spec) if needed and isinstance(planner, Recipe) else planner
    embed, pictures = embedding_of(own), not contract.observation.is_vectors
    completion = None
    if contract.fills:
        assert not isinstance(own, Recipe)
        log: Callable[[dict[str, Any]], None] | None = None
        if telemetry is not None and planning.log:
            log = telemetry.write
        completion = Completion(Filler(own), contract, loop, journal, log)
        completion.warmup()
    cycle = ControlCycle(
        worker,
        contract,
        loop,
        fallback,
        weights,
        seed,
        journal,
        planning.validator.resolved(),
        reflex_of(planner) if fallback.reflex == "model" else None,
        embed,
        planner.mean_pictures,
        telemetry.keep_frames() if telemetry is not None and pictures else None,
        completion,
    )
    return cycle, for_goals(embed, planner.mean_pictures)
