"""Ways through landmarks: the shortest one is found, followed, and left for the goal where the goal is near."""

from dataclasses import replace
from typing import NamedTuple

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from planning import CEM, Landmarks
from planning.landmarks import NO_WAY, landmark_ahead, steps_to_goal
from planning.types import Planner
from tests.planning.toys import Formula
from tests.planning.walled import SPEC, STEP, Leaps, aimed, arrival, objective, straight, world

NEIGHBOURS = 8
PLANNER = Landmarks(horizon=4, renew=3, ahead=4.0)


class Graph(NamedTuple):
    latents: jax.Array
    neighbours: jax.Array
    steps: jax.Array


def graph_of(places, lengths):
    """Graph with these places, `[L, 2]`, and the ways of a matrix `[L, L]`; infinite where there is none."""
    nearest = np.argsort(lengths, axis=1)[:, :NEIGHBOURS]
    steps = np.minimum(np.take_along_axis(lengths, nearest, axis=1), NO_WAY)
    return Graph(jnp.asarray(places, jnp.float32), jnp.asarray(nearest, jnp.int32), jnp.asarray(steps, jnp.float32))


def grid(crossing=True):
    """Landmarks on both sides of the wall, with ways of one spacing, which lead past the wall only above it."""
    side = np.stack(np.meshgrid(np.arange(-0.5, 0.6, 0.2), np.arange(0.0, 1.5, 0.2)), -1).reshape(-1, 2)
    apart = np.linalg.norm(side[:, None] - side[None], axis=-1)
    across = side[:, None, 0] * side[None, :, 0] < 0
    low = np.minimum(side[:, None, 1], side[None, :, 1]) < 1.0
    exists = (apart > 0) & (apart < 0.3) & ~(across & (low | (not crossing)))
    return graph_of(side, np.where(exists, apart / STEP, np.inf))


GRID, ISLANDS = grid(), grid(crossing=False)


def walled(graph=GRID, distance=straight):
    return world(distance=distance, landmarks=lambda params: graph, leaps=None)


MODEL, PARTED = walled(), walled(ISLANDS)
# As a model has them before training measures them: early stopping and previews plan with it.
BLANK = walled(Graph(jnp.zeros((9, 2)), jnp.zeros((9, NEIGHBOURS), jnp.int32), jnp.full((9, NEIGHBOURS), NO_WAY)))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_ways_are_the_shortest_there_are(seed):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(12, 2))
    lengths = np.where(rng.random((12, 12)) < 0.2, rng.uniform(1, 9, (12, 12)), np.inf)
    np.fill_diagonal(lengths, np.inf)
    goal, graph = rng.normal(size=2).astype(np.float32), graph_of(places, lengths)
    left, last = steps_to_goal(graph, straight, {}, jnp.asarray(goal), hops=12)

    apart = np.linalg.norm(places - goal, axis=1)
    entries = np.where(np.argsort(np.argsort(apart)) < 5, apart / STEP, np.inf)  # into the goal, a thirteenth place
    kept = np.full((13, 13), np.inf)
    np.put_along_axis(kept[:12], np.asarray(graph.neighbours), np.asarray(graph.steps), axis=1)
    kept[:12, 12] = entries
    kept[kept >= NO_WAY] = 0  # no way, to SciPy
    kept[np.isinf(kept)] = 0
    expected = dijkstra(csr_matrix(kept))[:12, 12]
    known = np.isfinite(expected)
    np.testing.assert_allclose(np.asarray(left)[known], expected[known], rtol=1e-4)
    assert (np.asarray(left)[~known] >= NO_WAY).all()
    np.testing.assert_array_equal(np.asarray(last)[known], np.isclose(entries, expected, rtol=1e-4)[known])


def test_a_way_is_followed_as_far_as_asked_for_and_no_further_than_to_its_end():
    chain = np.full((6, 6), np.inf)
    chain[range(5), range(1, 6)] = 3.0
    graph = graph_of(np.stack([np.arange(6.0), np.zeros(6)], axis=1), chain)
    left, last = jnp.asarray([15.0, 12.0, 9.0, 6.0, 3.0, 0.0]), jnp.arange(6) == 5
    for ahead, hops, expected in (
        (1.0, 9, (1, False)),
        (3.0, 9, (1, False)),
        (4.0, 9, (2, False)),
        (99.0, 9, (5, True)),
        (99.0, 3, (3, False)),
    ):
        landmark, arrives = landmark_ahead(graph, left, last, jnp.int32(0), ahead, hops)
        assert (int(landmark), bool(arrives)) == expected, (ahead, hops)


def test_it_finds_the_way_round_where_the_critic_knows_of_no_wall():
    assert isinstance(PLANNER, Planner)
    assert arrival(CEM(horizon=4), MODEL) is None, "a straight line ends at the wall"
    assert arrival(PLANNER, PARTED) is None, "without a way it is planned to directly"
    assert arrival(replace(PLANNER, hops=3), MODEL) is None, "nor is a way found of more landmarks than allowed"
    reached = arrival(PLANNER, MODEL)
    assert reached is not None and reached < 45


def test_the_sub_goal_lies_on_the_way():
    state = aimed(PLANNER, MODEL, (-0.3, 0.2), (0.3, 0.2))
    assert not state.direct
    assert state.aim[0] < 0 and state.aim[1] > 0.35, "up, along the wall"
    assert 3.0 < float(jnp.linalg.norm(state.aim - jnp.asarray([-0.3, 0.2]))) / STEP < 7.0


@pytest.mark.parametrize(
    ("model", "goal"),
    [(MODEL, (-0.3, 0.4)), (PARTED, (0.3, 0.2)), (BLANK, (0.3, 0.2))],
    ids=["near", "no way", "not measured yet"],
)
def test_the_goal_itself_is_planned_to_where_it_is_near_or_no_way_leads_there(model, goal):
    state = aimed(PLANNER, model, (-0.3, 0.2), goal)
    assert state.direct
    np.testing.assert_allclose(state.aim, np.asarray(goal, np.float32))


def test_a_sub_goal_is_kept_until_it_is_renewed():
    state = aimed(PLANNER, MODEL, (-0.3, 0.2), (0.3, 0.2), steps=2)
    later = objective(MODEL, (-0.3, 0.6), (0.3, 0.2))
    _, kept = PLANNER.plan(later, state, SPEC)
    np.testing.assert_array_equal(kept.aim, state.aim)
    _, renewed = PLANNER.plan(later, PLANNER.warm_start(kept, SPEC, 1), SPEC)
    assert renewed.aim[1] > kept.aim[1] and renewed.age == 0


def test_what_does_not_fit_is_named():
    state = PLANNER.init(SPEC, jax.random.key(0))
    for model, message in (
        (world(leaps=Leaps()), "needs a model with landmarks, and this one has none: train with model.landmarks=1500"),
        (walled(distance=None), "needs a model with a temporal-distance head"),
    ):
        with pytest.raises(ValueError, match=message):
            PLANNER.plan(objective(model, (-0.3, 0.2), (0.3, 0.2)), state, SPEC)
    with pytest.raises(ValueError, match="the planner Landmarks needs the objective of a world model"):
        PLANNER.plan(Formula(0.0, lambda data, actions: jnp.sum(actions, axis=(1, 2))), state, SPEC)
    for name, wrong in {"ahead": 0.0, "hops": 0, "renew": 0}.items():
        with pytest.raises(ValueError, match=name):
            replace(PLANNER, **{name: wrong}).init(SPEC, jax.random.key(0))
