from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, ActionSpec, Agent, Effort, GoalDistance, Knots, RateLimit
from planning.control import Contract, Controller, Fallback, LiveEngine
from planning.control.engine import live as live_engine
from planning.objective import with_prefix

from ...toys import PERIOD, box, point_mass

PLANNER = CEM(horizon=8, num_samples=24, num_elites=6, iterations=2, num_keep=2, num_best=3)
GOAL = np.array([0.3, 0.1], np.float32)
ZERO = np.zeros(2, np.float32)


def make(**options):
    costs = {"goal": GoalDistance(), "effort": Effort()}
    constraints = {"rate": RateLimit(100.0)}
    model = point_mass(action_block=2, eye=True)
    options = {"replan_every": 1, "constraints": constraints, **options}
    return Agent(model, PLANNER, costs, {"goal": 1.0, "effort": 0.01}, box(), **options)


@pytest.fixture(scope="module")
def live():
    return LiveEngine(make(), task="point")


@pytest.fixture(scope="module")
def started(live):
    state = live.observe(live.begin(GOAL, seed=1, episode=0), ZERO)
    return live.refine(state)


def test_the_contract_says_what_the_agent_is(live):
    contract = live.contract
    assert (contract.observation_size, contract.horizon, contract.action_block) == (2, 8, 2)
    assert (contract.history, contract.latent_size, contract.probe_size, contract.num_best) == (2, 4, 2, 3)
    assert contract.terms == ("effort", "goal") and contract.margins == ("rate",) and contract.playback == "zero"
    assert contract.control_period == PERIOD and contract.task == "point"
    assert Contract.from_json(contract.to_json()) == contract
    knots = replace(make(), planner=replace(PLANNER, parameterization=Knots(4, "cubic")))
    cubic = live_engine.contract_of(knots)
    actions, moments = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32), np.array([0.0, 0.13, 0.7])
    expected = knots.planner.parameterization.play(actions, moments, PERIOD)
    np.testing.assert_array_equal(cubic.parameterization().play(actions, moments, PERIOD), expected)


PLACE = {"name": "state", "shape": [2]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon": 0}, "horizon must lie between 1 and"),
        ({"horizon": 9}, "must divide the horizon"),
        ({"horizon": 8.0}, "horizon must be a whole number"),
        ({"replan_every": True}, "replan_every must be a whole number"),
        ({"control_period": float("nan")}, "control_period must be a finite number"),
        ({"control_period": -1.0}, "control_period must be positive"),
        ({"action_low": [2.0, 0.0]}, "the lower one first"),
        ({"action_low": [float("inf"), 0.0]}, "finite number"),
        ({"action_low": [1e39, 0.0]}, "finite number"),
        ({"action_low": [0.0]}, "two lists of one length"),
        ({"action_low": "00"}, "action_low must be a list"),
        ({"weights": {"goal": 1.0}}, "one number for each"),
        ({"weights": []}, "weights must be an object"),
        ({"terms": []}, "at least one cost"),
        ({"rest": [0.0]}, "rest must be empty or have 2 entries"),
        ({"rest": [0.0, 9.0]}, "rest must lie within the action bounds"),
        ({"observation": [PLACE | {"low": [0.0, 0.0]}]}, "low and high of the sensor state must be of one length"),
        ({"observation": [PLACE | {"low": [0.0, 2.0], "high": [1.0, 1.0]}]}, "the lower values first"),
        ({"observation": [PLACE | {"components": ["x"]}]}, "components of the sensor state must be empty or have 2"),
        ({"observation": [PLACE | {"shape": [True]}]}, "shape of a sensor must be int; got True"),
        ({"observation": [PLACE | {"dtype": "float64"}]}, "dtype of the sensor state must be float32 or uint8"),
        ({"observation": [PLACE, PLACE]}, "sensors with distinct names"),
        ({"observation": [{"name": "state"}]}, "a sensor has no shape"),
        ({"observation": [PLACE | {"colour": 1}]}, "a sensor has the unknown field 'colour'"),
        ({"observation": []}, "sensors with distinct names; got none"),
        ({"observation": [{"name": "eye", "shape": [4, 4, 3], "dtype": "uint8"}]}, "a vector needs none, any other"),
        ({"task": "a\nb"}, "printable"),
        ({"playback": "quintic"}, "playback must be one of"),
        ({"more": 1}, "unknown fields: 'more'"),
    ],
)
def test_a_contract_that_cannot_be_true_is_refused(live, change, words):
    with pytest.raises(ValueError, match=words):
        Contract.from_json({**live.contract.to_json(), **change})
    with pytest.raises(ValueError, match="must be an object"):
        Contract.from_json([])


def test_engine_and_agent_do_the_same(live):
    agent, state = live.agent, live.begin(GOAL, seed=4, episode=2)
    key = jax.random.key(4)
    expected = jax.jit(lambda agent: agent.reset(agent.init(key), jnp.asarray(GOAL), key, 2))(agent)
    step = jax.jit(Agent.step)
    for observation in (ZERO, ZERO + 0.01):
        action, state = live.step(state, observation)
        wanted, plan, expected = step(agent, expected, observation)
        np.testing.assert_array_equal(action, wanted)
    np.testing.assert_array_equal(live.plan(state).sequences, plan.sequences)
    assert live.observed(state) == 2 and live.executed(state) == 1
    np.testing.assert_array_equal(live.root(state), expected.root)
    assert isinstance(live.plan(state).cost, np.ndarray) and live.imagined(state).shape == (4, 2)


def test_prediction_and_evaluation_are_the_models_own(live, started):
    block = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    after = live.predict(live.root(started), block)
    np.testing.assert_allclose(
        after, live.agent.model.predict({"mass": 1.0}, live.root(started), block).latent, rtol=1e-6
    )
    np.testing.assert_array_equal(live.probe(np.stack([after, after])), [after[:2]] * 2)
    plan = live.plan(started)
    judged = live.evaluate(started, plan.sequences)
    np.testing.assert_allclose(judged.cost, plan.costs, rtol=1e-5)
    np.testing.assert_allclose(judged.margins["rate"][0], plan.margins["rate"], rtol=1e-5)
    assert live.disagreement(started) is None


def test_weights_change_without_a_compile(live, started):
    live.evaluate(started, live.plan(started).sequences)
    compiled = live_engine._refine._cache_size(), live_engine._evaluate._cache_size()
    before, plan = live.weights, live.plan(started)
    try:
        live.weights = {"goal": 2.0, "effort": 0.0}
        live.refine(started)
        judged = live.evaluate(started, plan.sequences)
        np.testing.assert_allclose(judged.terms["goal"][0], 2 * plan.terms["goal"], rtol=1e-5)
        assert (judged.terms["effort"] == 0).all()
        with pytest.raises(ValueError, match="give one for each"):
            live.weights = {"goal": 1.0}
        with pytest.raises(ValueError, match="must be a finite number; got nan"):
            live.weights = {"goal": float("nan"), "effort": 0.0}
    finally:
        live.weights = before
    assert (live_engine._refine._cache_size(), live_engine._evaluate._cache_size()) == compiled


def test_what_is_committed_begins_every_plan_and_the_rest_makes_the_best_of_it(live):
    """Three of eight steps of the worst action: the model is rolled through them, whatever its action block."""
    committed = np.full((8, 2), -1.0, np.float32)
    state = live.observe(live.begin(GOAL, seed=1, episode=0), ZERO)
    frozen = live.freeze(state, committed, 3)
    plan = live.plan(live.refine(live.refine(frozen)))
    np.testing.assert_array_equal(plan.sequences[:, :3], np.broadcast_to(committed[:3], (3, 3, 2)))
    assert not (plan.actions[3:] == -1).all()
    np.testing.assert_allclose(live.evaluate(frozen, plan.sequences).cost, plan.costs, rtol=1e-5)
    position, velocity = np.zeros(2), np.zeros(2)
    for action in plan.actions[:4]:
        velocity = velocity + PERIOD * action
        position = position + PERIOD * velocity
    np.testing.assert_allclose(plan.latents[1, :2], position, atol=1e-5)
    free = live.plan(live.refine(live.refine(live.freeze(frozen, committed, 0))))
    np.testing.assert_array_equal(free.actions, live.plan(live.refine(live.refine(state))).actions)
    action, after = live.step(frozen, ZERO)
    np.testing.assert_array_equal(action, committed[0])
    assert live.plan(after).actions[0, 0] == -1


def test_a_prefix_that_does_not_fit_is_refused(live, started):
    for actions, count, words in (
        (np.zeros((7, 2)), 1, r"freeze takes actions \(8, 2\)"),
        (np.zeros((8, 2)), 9, "count from 0 to 8"),
        (np.full((8, 2), np.nan), 1, "the first 1 must be finite"),
    ):
        with pytest.raises(ValueError, match=words):
            live.freeze(started, actions, count)
    live.freeze(started, np.full((8, 2), np.nan), 0)


def test_a_prefix_of_nothing_changes_no_bit():
    sequences = jax.random.normal(jax.random.key(0), (5, 4, 2))
    for frozen, same in ((0, True), (4, False)):
        result = with_prefix(sequences, jnp.zeros((4, 2)), jnp.int32(frozen))
        assert np.array_equal(result, sequences) == same


def test_a_controller_drives_any_engine(live):
    control, reference = Controller(live, seed=3), Controller(make(), seed=3)
    for each in (control, reference):
        each.reset(goal=GOAL)
    np.testing.assert_array_equal(control.act(ZERO), reference.act(ZERO))
    assert control.engine is live


def test_fields_with_a_default_may_be_missing(live):
    values = live.contract.to_json()
    for name in ("rest", "task"):
        del values[name]
    assert Contract.from_json(values) == replace(live.contract, task="")
    del values["horizon"]
    with pytest.raises(ValueError, match="missing fields: 'horizon'"):
        Contract.from_json(values)


def test_the_rest_action_is_declared_once_and_used_everywhere():
    agent = make()
    spec = ActionSpec.of([0.0, -1.0], [100.0, 1.0], PERIOD)
    np.testing.assert_array_equal(spec.rest_action, [0.0, 0.0])  # neither the middle nor a choice of each caller
    engine = LiveEngine(replace(agent, spec=spec))
    np.testing.assert_array_equal(engine.contract.rest_action, [0.0, 0.0])
    np.testing.assert_array_equal(engine.begin(GOAL, 0, 0).previous, [0.0, 0.0])
    held = ActionSpec.of([0.0, -1.0], [100.0, 1.0], PERIOD, rest=[9.81, 0.5])
    engine = LiveEngine(replace(agent, spec=held))
    np.testing.assert_array_equal(engine.contract.rest_action, np.float32([9.81, 0.5]))
    np.testing.assert_array_equal(Fallback().brake_action(engine.contract), np.float32([9.81, 0.5]))
    np.testing.assert_array_equal(engine.begin(GOAL, 0, 0).previous, np.float32([9.81, 0.5]))
    with pytest.raises(ValueError, match="rest must be 2 numbers within the action bounds"):
        ActionSpec.of([0.0, -1.0], [100.0, 1.0], PERIOD, rest=[-1.0, 0.0])
