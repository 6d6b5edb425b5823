"""Goals of some sensors, and goals in order, on a controller and by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Agent, GoalDistance
from planning.control import Controller, LiveEngine, Route
from planning.control.engine.contract import Contract
from planning.control.engine.goal import checked_goal

from ...toys import PERIOD, PointMass, box

NAN = float("nan")


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Forgiving(PointMass):
    """The point mass, and goals in which a coordinate that is not told is the origin's."""

    def goal(self, params, embedding, mask):
        told = jnp.where(mask, embedding, 0.0)
        return self.encode(params, jnp.broadcast_to(told[None], (self.history, *told.shape)))

    def tree_flatten(self):
        return (self.params,), (self.history, self.action_block)

    @classmethod
    def tree_unflatten(cls, rest, leaves):
        return cls(leaves[0], *rest)


def controller(kind):
    model = kind({"mass": jnp.float32(1.0)}, action_block=2)
    planner = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
    return Controller(Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, box(), replan_every=2))


@pytest.fixture(scope="module")
def forgiving():
    control = controller(Forgiving)
    control.warmup()
    return control


def drive(control, route, steps):
    """Positions, with a redirection at each goal that is passed."""
    position, velocity, path = np.zeros(2), np.zeros(2), []
    control.reset(goal=route.goal, seed=0)
    for _ in range(steps):
        if route.passed(position):
            control.redirect(route.goal)
        velocity = velocity + PERIOD * control.act(position)
        position = position + PERIOD * velocity
        path.append(position)
    return np.array(path)


def test_a_route_is_driven_in_its_order(forgiving):
    route = Route([[0.3, NAN], [0.3, 0.3], [0.0, 0.3]], tolerance=0.05)
    path = drive(forgiving, route, 150)
    assert route.last
    firsts = [int(np.argmax(np.nanmax(np.abs(path - goal), axis=1) <= 0.06)) for goal in route.goals]
    assert firsts == sorted(firsts) and firsts[0] > 0
    assert np.linalg.norm(path[-1] - route.goals[-1]) < 0.06


def test_another_goal_keeps_what_was_seen(forgiving):
    """A latent holds the velocity: after a redirection it is still that of the observations before."""
    forgiving.reset(goal=[0.3, 0.1], seed=0)
    for position in ([0.0, 0.0], [0.01, 0.0], [0.03, 0.0]):
        forgiving.act(position)
    before = forgiving.engine.root(forgiving._state)
    forgiving.redirect([-0.3, 0.0])
    forgiving.act([0.03, 0.0])
    after = forgiving.engine.root(forgiving._state)
    assert before[2] > 0.1 and after[2] < before[2]  # it has stopped by now
    forgiving.reset(goal=[0.3, 0.1], seed=0)
    forgiving.act([0.0, 0.0])
    forgiving.redirect([-0.3, 0.0])
    forgiving.act([0.02, 0.0])
    np.testing.assert_allclose(forgiving.engine.root(forgiving._state)[2], 0.02 / PERIOD, rtol=1e-3)


def test_only_a_model_that_knows_them_takes_partial_goals(forgiving):
    assert forgiving.engine.contract.partial_goals
    strict = controller(PointMass)
    assert not strict.engine.contract.partial_goals
    with pytest.raises(ValueError, match="the goal must be finite; element 1 is nan"):
        strict.reset(goal=[0.3, NAN])
    forgiving.reset(goal=[0.3, NAN])
    with pytest.raises(ValueError, match="gives no sensor's value"):
        forgiving.reset(goal=[NAN, NAN])
    with pytest.raises(ValueError, match="element 0 is inf"):
        forgiving.reset(goal=[np.inf, NAN])
    with pytest.raises(ValueError, match=r"shape \(2,\); got \(3,\)"):
        forgiving.redirect([0, 0, 0])
    with pytest.raises(RuntimeError, match="redirect needs an episode"):
        controller(PointMass).redirect([0, 0])


def test_the_contract_keeps_the_word_and_checks_it(forgiving):
    contract = LiveEngine(forgiving.agent).contract
    assert Contract.from_json(contract.to_json()).partial_goals
    with pytest.raises(ValueError, match="partial_goals must be true or false; got 1"):
        Contract.from_json({**contract.to_json(), "partial_goals": 1})
    assert np.isnan(checked_goal([0.1, NAN], contract)[1])


@pytest.mark.parametrize(
    ("goals", "tolerance", "words"),
    [
        ([], 0.1, "a list of goals of one length"),
        ([0.1, 0.2], 0.1, "a list of goals of one length"),
        ([[0.1, 0.2], [0.1]], 0.1, "got some of 1 and of 2 numbers"),
        ([[0.1, 0.2], [NAN, NAN]], 0.1, "must have a value of at least one sensor"),
        ([[0.1, np.inf]], 0.1, "the goal must be finite; element 1 is inf"),
        ([[0.1, 0.2]], 0.0, "the tolerance must be positive; got 0.0"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(goals, tolerance, words):
    with pytest.raises(ValueError, match=words):
        Route(goals, tolerance)


def test_a_route_of_other_sensors_is_not_silently_never_passed():
    with pytest.raises(ValueError, match=r"must have shape \(1,\); got \(2,\) \(the route's goals have 1 numbers"):
        Route([[0.1], [0.2]], 0.1).passed([0.1, 0.2])
