"""Evaluation protocols: the pairs of start and goal on which every policy of a table is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs import Task
from envs.behaviours import Behaviour
from envs.goal_parts import HasOffset, HasParts
from envs.streams import episode_rng

LEWM_OFFSET = 25  # environment steps from start to goal
LEWM_BUDGET = 50
STRICT_TOLERANCE = 0.5  # of the task's own
STRICT_HOLD = 3  # moments
SELECTION = 1_000_000  # number of the first pair of `selection`: no evaluation counts that far


@dataclass(frozen=True, eq=False)
class Pairs:
    """Start states and goals of `B` episodes."""

    protocol: str
    states: Float[ndarray, "B S"]
    goals: Float[ndarray, "B G"]
    budget: int  # environment steps in which a goal has to be reached
    goal_offset: int | None = None  # environment steps from start to goal, in the trajectory that contains both
    number: int = 0  # of the first pair; an episode's random numbers depend on its number
    seed: int = 0  # of the sensors' noise: the same for every policy
    tolerance: float = 1.0  # share of the task's tolerance that counts as reached
    hold: int = 1  # consecutive moments at which the goal has to be reached
    row: Float[ndarray, "E"] | None = None  # reading at the only goal, NaN where it is free; None: the simulator's
    known: bool = True  # whether the goals' coordinates are known; without them, no success can be judged
    parts: tuple[str, ...] = ()  # that the goals ask for; empty: those of the task

    def __len__(self) -> int:
        return len(self.states)

    @property
    def numbers(self) -> range:
        """Number of each pair."""
        return range(self.number, self.number + len(self))

    def part(self, begin: int, end: int) -> Pairs:
        """Pairs from `begin` up to `end`: results are the same as in the whole set."""
        return replace(
            self, states=self.states[begin:end], goals=self.goals[begin:end], number=self.number + min(begin, len(self))
        )

    def first(self, episodes: int) -> Pairs:
        """First pairs, up to the given count: a slow row may use fewer of the same pairs."""
        return self.part(0, episodes)


def honest(task: Task, episodes: int, seed: int, offset: int | None = None) -> Pairs:
    """Start and goal drawn by the task from a random stream that no training sees; solved starts are drawn again.

    Pair `i` depends on `seed`, `i` and the offset alone.

    Args:
      task: that draws them.
      episodes: number of pairs.
      seed: of the pairs.
      offset: environment steps from start to goal, of which twice as many are the budget; None: the task's own.

    Raises:
      ValueError: an offset for a task whose goals have none.
    """
    draw, budget, offset = _draw(task, offset)
    return Pairs("honest", *_drawn(draw, "evaluate", episodes, seed), budget, offset, seed=seed)


def strict(task: Task, episodes: int, seed: int, offset: int | None = None) -> Pairs:
    """The pairs of `honest`, reached only where half of the task's tolerance is kept for three moments in a row.

    After the strict predicates of CLEAR-LeWM, version 0.5: tighter radii, held, and in a task about an object the
    object alone. A wall that is crossed is no question here: in the simulators walls are solid.
    """
    pairs = honest(task, episodes, seed, offset)
    parts = task.strict_parts if isinstance(task, HasParts) else ()
    return replace(pairs, protocol="strict", tolerance=STRICT_TOLERANCE, hold=STRICT_HOLD, parts=parts)


def selection(task: Task, episodes: int, seed: int) -> Pairs:
    """Pairs on which a model is judged during its own training; none of them is in an evaluation, whatever the seeds.

    They are drawn like those of `honest`, from a random stream of their own. Their numbers are their own as well:
    neither sensor noise nor plans share random numbers with an evaluation.
    """
    draw, budget, offset = _draw(task, None)
    return Pairs("selection", *_drawn(draw, "select", episodes, seed), budget, offset, number=SELECTION, seed=seed)


def one_goal(
    task: Task, episodes: int, seed: int, at: Float[ndarray, "G"] | None, row: Float[ndarray, "E"] | None
) -> Pairs:
    """The starts of `honest`, all of them with the same goal; starts that already succeed are drawn again.

    Args:
      task: of the starts.
      episodes: number of starts.
      seed: of the starts.
      at: coordinates of the goal; None: unknown.
      row: reading at the goal, for policies that look at pictures; None: the simulator's.
    """
    states = []
    for episode in range(episodes):
        states.append(start_towards(task, episode_rng(seed, "evaluate", episode), at))
    goal = np.full(task.goal_size, np.nan) if at is None else at
    goals = np.tile(goal, (episodes, 1))
    return Pairs("one_goal", np.stack(states), goals, task.budget, seed=seed, row=row, known=at is not None)


def start_towards(task: Task, rng: np.random.Generator, at: Float[ndarray, "G"] | None) -> Float[ndarray, "S"]:
    """Draw a start for a goal at some coordinates, one that does not succeed already; None: they are not known."""
    state, _ = task.sample_pair(rng)
    while at is not None and task.success(state, at):
        state, _ = task.sample_pair(rng)
    return state


Draw = Callable[[np.random.Generator], tuple[Float[ndarray, "S"], Float[ndarray, "G"]]]


def _draw(task: Task, offset: int | None) -> tuple[Draw, int, int | None]:
    """How pairs are drawn, their budget, and their offset."""
    if not isinstance(task, HasOffset):
        if offset is not None:
            raise ValueError(
                f"goal_offset is {offset}, but goals of {task.name} are drawn and not reached from the start: leave it "
                "out, or take task=push_t"
            )
        return task.sample_pair, task.budget, None
    if offset is not None and offset < 1:
        raise ValueError(f"goal_offset must be at least 1 environment step; got {offset}")
    steps = task.goal_offset if offset is None else offset
    return partial(task.sample_pair_at, offset=steps), 2 * steps, steps


def _drawn(draw: Draw, name: str, episodes: int, seed: int) -> tuple[Float[ndarray, "B S"], Float[ndarray, "B G"]]:
    """Starts and goals from a random stream; pair `i` depends on the stream, `seed` and `i` alone."""
    pairs = [draw(episode_rng(seed, name, episode)) for episode in range(episodes)]
    return np.stack([state for state, _ in pairs]), np.stack([goal for _, goal in pairs])


def lewm(task: Task, behaviour: Behaviour, episodes: int, steps: int, seed: int) -> Pairs:
    """Start at a moment of a trajectory, goal achieved 25 environment steps later in it; budget 50 steps.

    The protocol of LeWorldModel (Maes et al., arXiv 2603.19312, section 5). Starts that are solved already stay in, as
    there, and `already_solved` counts them. Unlike there, the trajectories are held out: `behaviour` makes them, of
    `steps` steps each, from a random stream that no training sees. Pair `i` depends on the settings, `seed` and `i`
    alone.

    Raises:
      ValueError: trajectories too short for the offset.
    """
    if steps < LEWM_OFFSET:
        raise ValueError(
            f"the protocol lewm takes goals {LEWM_OFFSET} steps ahead in a trajectory, and collection.steps is {steps}:"
            " take longer episodes, or leave lewm out of suite.protocols"
        )
    rngs = [episode_rng(seed, "validate", episode) for episode in range(episodes)]
    begin = np.array([rng.integers(steps - LEWM_OFFSET + 1) for rng in rngs])
    states, _ = behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)
    each = np.arange(episodes)
    goals = task.achieved_goal(states[each, begin + LEWM_OFFSET])
    return Pairs("lewm", states[each, begin], goals, LEWM_BUDGET, LEWM_OFFSET, seed=seed)


def already_solved(task: Task, pairs: Pairs) -> list[bool]:
    """Whether each pair's goal is reached before the first step."""
    return [bool(each) for each in task.success(pairs.states, pairs.goals, pairs.tolerance)]
