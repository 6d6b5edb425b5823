"""Goals with several solutions: the nearest one is planned for, their mean is none of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning import CEM, MPPI, Agent, GoalDistance, Gradient, Heads, Prediction, TemporalDistance, reset_many
from planning.control import Bundle, BundleEngine, Controller, Goal, LiveEngine, Route
from planning.control.engine.contract import Contract
from planning.observation import ObservationSpec, Sensor
from planning.solutions import SWITCH, distances, nearest, rotations

from .toys import PERIOD, PointMass, box

NAN = float("nan")
OPTIONS = ["history", "action_block", "critic", "eye", "reflexes"]


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=OPTIONS)
@dataclass(frozen=True)
class TwoWays(PointMass):
    """The point mass, and goals about x alone, which count as reached at y = -0.5 and at y = 0.5: two elbows."""

    def goal(self, params, embedding, mask):
        free = jnp.stack([jnp.where(mask, embedding, jnp.array([0.0, y])) for y in (-0.5, 0.5)])
        return self.encode(params, jnp.broadcast_to(free[:, None], (2, self.history, 2)))


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=OPTIONS)
@dataclass(frozen=True)
class TheirMean(TwoWays):
    """The same goals as the mean of their solutions."""

    def goal(self, params, embedding, mask):
        return super().goal(params, embedding, mask).mean(axis=0)


def agent_of(kind, planner=None, cost=None, **options):
    model = kind({"mass": jnp.float32(1.0)}, action_block=2, **options)
    planner = planner or CEM(horizon=10, num_samples=48, num_elites=8, iterations=3, num_keep=3)
    agent = Agent(model, planner, {"goal": cost or GoalDistance()}, {"goal": 1.0}, box(), replan_every=2)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), agent)


def driven(control, start, goal, steps=50):
    """The point mass itself: where it ends."""
    position, velocity = np.array(start, np.float64), np.zeros(2)
    control.reset(goal=goal, seed=0)
    for _ in range(steps):
        velocity = velocity + PERIOD * control.act(position)
        position = position + PERIOD * velocity
    return position


POINTS = st.lists(st.tuples(*[st.floats(-2, 2, width=16)] * 4), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(POINTS, st.tuples(*[st.floats(-2, 2, width=16)] * 4), st.randoms(), st.booleans())
def test_the_distance_to_a_set_is_that_to_its_nearest_member(points, latent, order, critic):
    model, latent = TwoWays({"mass": jnp.float32(1.0)}, critic=critic), jnp.asarray(latent, jnp.float32)

    def away(points):
        goals = jnp.asarray(points, jnp.float32)
        found = nearest(model, latent, goals)
        assert any(np.array_equal(found, goal) for goal in goals)  # a member, and no mixture
        return float(distances(model, latent, found[None])[0])

    least = away(points)
    assert least == min(away([each]) for each in points)
    shuffled = order.sample(points, len(points))
    assert away(shuffled) == least and away([*points, points[0]]) == least
    assert away([*points, (0.5, -0.5, 0.0, 0.0)]) <= least  # one more never makes it farther
    assert away([*points, tuple(np.asarray(latent).tolist())]) <= 1.1e-3  # and there is one here


def test_a_solution_stays_until_another_one_is_clearly_nearer():
    model = TwoWays({"mass": jnp.float32(1.0)}, critic=True)
    goals = jnp.array([[0.0, -1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])

    def chosen(y, present):
        return nearest(model, jnp.array([0.0, y, 0.0, 0.0]), goals, present)[1]

    turn = (1 - SWITCH) / (1 + SWITCH)  # where one distance is that share of the other
    for y in (0.9 * turn, -0.9 * turn):
        np.testing.assert_array_equal(chosen(y, goals[0]), -1.0)
        np.testing.assert_array_equal(chosen(y, goals[1]), 1.0)
    assert chosen(1.1 * turn, goals[0]) == 1.0 and chosen(-1.1 * turn, goals[1]) == -1.0
    assert chosen(0.01, jnp.full(4, NAN)) == chosen(0.01, None) == 1.0


def test_a_solution_that_the_critic_knows_nothing_of_is_not_taken():
    model = TwoWays({"mass": jnp.float32(1.0)}, critic=True)
    goals = jnp.array([[NAN, 0.0, 0.0, 0.0], [jnp.inf, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(nearest(model, jnp.zeros(4), goals), goals[2])


@pytest.mark.parametrize(
    ("planner", "cost"),
    [
        (None, GoalDistance()),
        (None, TemporalDistance()),
        (MPPI(horizon=10, num_samples=64, iterations=3), GoalDistance()),
        (Gradient(horizon=10), GoalDistance()),
    ],
    ids=["cem", "cem-critic", "mppi", "gradient"],
)
def test_either_way_is_reached_where_their_mean_fails(planner, cost):
    ends = {}
    for kind in (TwoWays, TheirMean):
        control = Controller(agent_of(kind, planner, cost, critic=True))
        ends[kind] = [driven(control, [0.0, y], Goal([0.3, 0.0], mask=[True, False])) for y in (-0.1, 0.1)]
    for end, y in zip(ends[TwoWays], (-0.5, 0.5), strict=True):
        np.testing.assert_allclose(end, [0.3, y], atol=0.07)
    for end in ends[TheirMean]:
        assert abs(abs(end[1]) - 0.5) > 0.3  # between the two, where nothing is reached


def test_a_goal_that_leaves_nothing_free_has_one_solution_twice():
    agent, key = agent_of(TwoWays), jax.random.key(0)
    state = agent.reset(agent.init(key), jnp.array([0.3, 0.1]), key, 0)
    np.testing.assert_array_equal(state.goals, np.tile(np.float32([0.3, 0.1, 0.0, 0.0]), (2, 1)))
    assert agent_of(TheirMean).init(jax.random.key(0)).goals is None  # one is not kept twice


def test_a_batch_plans_for_the_solutions_that_single_plans_are_for():
    agent, mask = agent_of(TwoWays), jnp.array([True, False])
    goals, starts = jnp.full((3, 2), 0.3), jnp.array([[0.0, -0.2], [0.0, 0.2], [0.0, 0.3]])
    states = jax.jit(reset_many)(agent, goals, jax.random.key(0), jnp.arange(3, dtype=jnp.int32), mask)
    seen = jax.vmap(agent.observe)(states, starts)
    np.testing.assert_array_equal(seen.goal[:, 1], [-0.5, 0.5, 0.5])
    assert states.goals.shape == (3, 2, 4)


def test_a_bundle_keeps_all_solutions_and_its_reflex_takes_the_nearest(tmp_path):
    agent = agent_of(TwoWays, reflexes=True)
    Bundle.of(agent, task="point").save(tmp_path / "two.bundle")
    control = Controller.load(tmp_path / "two.bundle")
    goal = Goal([0.3, 0.0], mask=[True, False])
    live = Controller(agent)
    for y in (-0.1, 0.1):
        ends = [driven(each, [0.0, y], goal) for each in (control, live)]
        np.testing.assert_array_equal(*ends)
        np.testing.assert_allclose(ends[0], [0.3, 5 * y], atol=0.07)
        window = np.tile(np.array([0.3, 2 * y], np.float32), (2, 1))
        reflex = control.engine.reflex(window, np.array([0.3, NAN], np.float32))
        assert np.sign(reflex[1]) == np.sign(y)
        np.testing.assert_array_equal(reflex, LiveEngine(agent).reflex(window, np.array([0.3, NAN], np.float32)))
    assert isinstance(control.engine, BundleEngine)


# What looks the same after a part of a turn.


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["symmetry"])
@dataclass(frozen=True)
class Turntable:
    """A turntable with a mark: its angle as sine and cosine, and how fast it turns. What it carries may be a square."""

    params: object
    symmetry: int = 4

    history, action_block, embedding_size, action_size, latent_size, ensemble = 2, 1, 1, 1, 3, 1
    heads = Heads()

    @property
    def observation(self):
        return ObservationSpec((Sensor("yaw", (1,), period=(2 * np.pi,), symmetry=self.symmetry),))

    def embed(self, params, observation):
        return observation["yaw"]

    def encode(self, params, rows):
        now, before = rows[..., -1, :], rows[..., -2, :]
        speed = jnp.sin(now - before) / PERIOD
        return jnp.concatenate([jnp.sin(now), jnp.cos(now), 0.1 * speed], axis=-1)

    def predict(self, params, latent, block):
        speed = latent[..., 2:] + 0.1 * params["gain"] * block[..., 0, :]
        angle = jnp.arctan2(latent[..., :1], latent[..., 1:2]) + PERIOD * 10 * speed
        return Prediction(jnp.concatenate([jnp.sin(angle), jnp.cos(angle), speed], axis=-1))


def turned(symmetry, start, goal):
    """Angle at which the turntable ends."""
    planner = CEM(horizon=12, num_samples=64, num_elites=10, iterations=3, num_keep=3)
    model = Turntable({"gain": jnp.float32(0.5)}, symmetry)
    control = Controller(Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, box(1)))
    control.reset(goal=[goal], seed=0)
    angle, speed = start, 0.0
    for _ in range(50):
        speed += 0.5 * float(control.act([angle])[0])
        angle += PERIOD * speed
    return angle


@pytest.mark.parametrize("quarters", [1, 2, 3, 7])
def test_a_square_is_turned_to_the_nearest_angle_that_looks_the_same(quarters):
    start = quarters * np.pi / 2 - 0.3
    np.testing.assert_allclose(turned(4, start, 0.2), quarters * np.pi / 2 + 0.2, atol=0.05)
    assert abs(np.angle(np.exp(1j * (turned(1, start, 0.2) - 0.2)))) < 0.2  # without symmetry, all the way


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.floats(0.1, 10), st.integers(1, 4), st.booleans())
def test_rotations_are_a_group_of_equal_turns(order, period, others, optional):
    turning = Sensor("pose", (3,), period=(0.0, period, 0.0), symmetry=order, optional=optional)
    sensors = [Sensor("rest", (others,)), turning]
    turns = np.asarray(rotations(sensors))
    assert turns.shape == (order, ObservationSpec(tuple(sensors)).size)
    angle = others + 1
    assert not np.delete(turns, angle, axis=1).any() and not turns[0].any()
    np.testing.assert_allclose(turns[:, angle], np.arange(order) * period / order, rtol=1e-6)


def test_several_symmetric_sensors_turn_on_their_own():
    yaw = Sensor("a", (1,), period=(2.0,), symmetry=2)
    turns = np.asarray(rotations([yaw, replace(yaw, name="b", symmetry=3, period=(3.0,))]))
    assert sorted(map(tuple, turns.tolist())) == [(a, b) for a in (0.0, 1.0) for b in (0.0, 1.0, 2.0)]
    with pytest.raises(ValueError, match=r"symmetric sensors \(a 9, b 9\) have 81 rotations together, and the most"):
        rotations([replace(yaw, symmetry=9), replace(yaw, name="b", symmetry=9)])


@pytest.mark.parametrize(
    ("period", "symmetry", "words"),
    [
        ((), 4, "is 4, and it has 0 angles"),
        ((6.0, 6.0), 2, "has 2 angles"),
        ((6.0, 0.0), 0, "is 0, and it has 1 angles"),
    ],
)
def test_rotations_of_no_angle_are_refused(period, symmetry, words):
    with pytest.raises(ValueError, match=words):
        Sensor("pose", (2,), period=period, symmetry=symmetry)


def test_the_contract_and_routes_know_the_symmetry():
    spec = ObservationSpec((Sensor("pose", (2,), period=(0.0, 2 * np.pi), symmetry=4),))
    engine = LiveEngine(
        Agent(Turntable({"gain": jnp.float32(0.5)}), CEM(), {"goal": GoalDistance()}, {"goal": 1.0}, box(1))
    )
    contract = engine.contract
    assert Contract.from_json(contract.to_json()).observation.sensors[0].symmetry == 4
    assert "symmetry" not in ObservationSpec((Sensor("pose", (2,)),)).to_json()[0]
    for turn, passes in ((0.5, True), (0.25, True), (0.2, False)):
        route = Route([{"pose": [1.0, 0.1]}, {"pose": [0.0, 0.0]}], 0.05, spec)
        assert route.passed({"pose": [1.0, 0.1 + turn * 2 * np.pi]}) is passes
    # A jump by a symmetric rotation is a jump.
    np.testing.assert_allclose(spec.difference(np.array([0.0, np.pi / 2]), np.zeros(2)), [0.0, np.pi / 2])
    np.testing.assert_allclose(spec.from_goal(np.array([0.3, np.pi / 2 + 0.1]), np.zeros(2)), [0.3, 0.1], atol=1e-6)
