"""What every planner must do. A new planner joins by one line in PLANNERS.

All tests of one planner share one compiled plan: what they ask is a change of numbers (tests/planning/problems.py).
"""

import dataclasses
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    CEM,
    ICEM,
    MPPI,
    Blocks,
    EliteMPPI,
    Given,
    Gradient,
    Knots,
    NoOp,
    Planner,
    PredictiveSampling,
    SamplingPlanner,
    Status,
    Steps,
    plan_on_host,
)

from .problems import HORIZON, PROBLEMS
from .toys import Formula, box

SIZES = {"horizon": HORIZON, "num_samples": 256, "iterations": 20, "parameterization": Steps(), "noise_beta": 1.0}
PLANNERS = {
    "cem": CEM(**SIZES, num_elites=24, momentum=0.0),
    "icem": ICEM(**SIZES, num_elites=24, decay=1.0),
    "mppi": MPPI(**SIZES, std_decay=0.85),
    "elite_mppi": EliteMPPI(**SIZES, num_elites=24, temperature=5.0),
    "predictive_sampling": PredictiveSampling(**SIZES | {"iterations": 100}, init_std=0.15),
    "gradient": Gradient(horizon=HORIZON, iterations=30),
}
PARAMETERIZATIONS = {
    "blocks": Blocks(3),
    "zero": Knots(5, "zero"),
    "linear": Knots(5, "linear"),
    "cubic": Knots(5, "cubic"),
}
PRODUCT = [(planner, parameterization) for planner in PLANNERS for parameterization in PARAMETERIZATIONS]
COVERING = {("mppi", "blocks"), ("gradient", "zero"), ("icem", "linear"), ("cem", "cubic")}


@jax.jit
def plan(planner, objective, state, spec):
    return planner.plan(objective, state, spec)


@jax.jit
def warm_start(planner, state, spec, steps):
    return planner.warm_start(state, spec, steps)


def as_arrays(planner):
    return jax.tree.map(jnp.float32, planner)


@pytest.fixture(scope="module", params=PLANNERS)
def planner(request):
    return as_arrays(PLANNERS[request.param])


def start(planner, objective, spec, key):
    shape = jax.ShapeDtypeStruct((1, planner.horizon, spec.size), jnp.float32)
    return planner.prepare(planner.init(spec, key), jax.eval_shape(objective, shape))


def knowing(planner, state, sequence):
    """The state after a plan that found `sequence` to be the best."""

    def known(best):
        sequences = jnp.broadcast_to(sequence[None], best.sequences.shape)
        return replace(best, sequences=sequences, known=jnp.ones_like(best.known))

    state = replace(state, best=known(state.best))
    if isinstance(planner, SamplingPlanner):
        state = replace(state, mean=planner.fit(sequence))
        state = state if state.memory is None else replace(state, memory=known(state.memory))
    return state


def solve(planner, problem, key):
    state = start(planner, problem.objective, problem.spec, key)
    if problem.known is not None:
        state = warm_start(planner, knowing(planner, state, problem.known), problem.spec, jnp.int32(1))
    return plan(planner, problem.objective, state, problem.spec)


def assert_solved(planner, name, seeds):
    problem = PROBLEMS[name]
    costs = [float(solve(planner, problem, jax.random.key(seed))[0].cost) for seed in range(seeds)]
    assert max(costs) <= problem.solved(planner.parameterization)


SPHERE = PROBLEMS["sphere"]


def test_it_satisfies_the_contract(planner):
    planner.validate(box())
    if isinstance(planner, SamplingPlanner):
        assert isinstance(planner, Planner)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_solves_the_table(planner, name):
    assert_solved(planner, name, seeds=5)


@pytest.mark.parametrize(
    ("planner_name", "parameterization"),
    [pytest.param(*pair, marks=[] if pair in COVERING else pytest.mark.slow) for pair in PRODUCT],
)
def test_it_solves_the_table_in_every_parameterisation(planner_name, parameterization):
    planner = replace(as_arrays(PLANNERS[planner_name]), parameterization=PARAMETERIZATIONS[parameterization])
    for name in PROBLEMS:
        assert_solved(planner, name, seeds=3)


def test_a_needle_is_not_found_without_the_previous_plan(planner, key):
    outcome, _ = solve(planner, replace(PROBLEMS["needle"], known=None), key)
    assert outcome.cost > 0.9  # or the table would not tell whether a warm start keeps anything


@pytest.mark.parametrize("name", ["sphere", "optimum on a bound", "double integrator"])
def test_the_plan_was_evaluated_and_lies_within_the_bounds(planner, key, name):
    problem = PROBLEMS[name]
    outcome, _ = solve(planner, problem, key)
    evaluation = problem.objective(outcome.sequences)
    np.testing.assert_allclose(evaluation.cost, outcome.costs, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(outcome.actions, outcome.sequences[0])
    np.testing.assert_allclose(outcome.terms["formula"], outcome.cost)
    assert outcome.cost == outcome.costs[0] and (np.diff(outcome.costs) >= 0).all()
    if isinstance(planner, SamplingPlanner):  # the starts of a descent may end in one point
        assert len(np.unique(np.asarray(outcome.sequences), axis=0)) == len(outcome.sequences)
    sequences = np.asarray(outcome.sequences)
    low, high = np.asarray(problem.spec.low), np.asarray(problem.spec.high)
    assert (sequences >= low).all() and (sequences <= high).all()
    assert outcome.status == Status.OK and outcome.finite_fraction == 1
    assert outcome.progress.shape == (planner.iterations,) and (np.diff(outcome.progress) <= 0).all()
    assert outcome.progress[-1] == outcome.cost and 1 <= outcome.effective_samples <= 256


@pytest.mark.parametrize("name", ["cem", "icem", "predictive_sampling"])  # each proposes in its own way
def test_every_candidate_lies_within_the_bounds(name, key):
    spec, sampling = box(bound=0.1), as_arrays(PLANNERS[name])
    state = knowing(sampling, sampling.init(spec, key), jnp.full((HORIZON, 2), 5.0))  # of wider bounds
    state = jax.jit(sampling.warm_start)(state, spec, 3)
    assert float(jnp.abs(jax.jit(sampling.propose)(state, spec)).max()) <= np.float32(0.1)


def test_equal_keys_give_equal_plans_and_others_do_not(planner, key):
    problem = PROBLEMS["double integrator"]
    first, again = solve(planner, problem, key)[0], solve(planner, problem, key)[0]
    other = solve(planner, problem, jax.random.key(1))[0]
    np.testing.assert_array_equal(first.sequences, again.sequences)
    assert not np.array_equal(first.sequences, other.sequences)


def test_a_constant_in_the_cost_changes_nothing(planner, key):
    # 0.25 and the costs are far enough apart in size that float32 rounds few of them together.
    plain, raised = (solve(planner, SPHERE.changed(constant=constant), key)[0] for constant in (0.0, 0.25))
    np.testing.assert_allclose(plain.actions, raised.actions, atol=2e-2)
    np.testing.assert_allclose(raised.cost - plain.cost, 0.25, atol=1e-3)


def test_candidates_that_diverge_are_never_chosen(planner, key):
    outcome, state = solve(planner, SPHERE.changed(diverges_above=0.2), key)
    assert outcome.status == Status.OK and 0 < outcome.finite_fraction < 1
    assert float(outcome.cost) < 0.06 and float(jnp.mean(outcome.actions)) <= 0.2
    if isinstance(planner, SamplingPlanner):  # a descent that starts where costs diverge stays there
        assert all(np.isfinite(leaf).all() for leaf in (outcome.costs, state.mean, state.std))


def test_when_everything_diverges_the_previous_plan_is_kept_and_the_state_recovers(planner, key):
    spec = box()
    before, state = solve(planner, SPHERE, key)
    warm = warm_start(planner, state, spec, jnp.int32(2))
    failed, state = plan(planner, SPHERE.changed(diverges_above=-2.0).objective, warm, spec)
    assert failed.status == Status.FAILED and np.isinf(failed.cost) and failed.finite_fraction == 0
    np.testing.assert_array_equal(failed.actions[:-2], before.actions[2:])
    np.testing.assert_array_equal(failed.actions[-2:], np.tile(before.actions[-1:], (2, 1)))
    if isinstance(planner, SamplingPlanner):
        np.testing.assert_array_equal(state.mean, warm.mean)
        np.testing.assert_array_equal(state.std, warm.std)
    after, _ = plan(planner, SPHERE.objective, warm_start(planner, state, spec, jnp.int32(1)), spec)
    assert after.status == Status.OK and float(after.cost) < 0.02


def test_a_failure_at_the_very_start_rests(planner, key):
    outcome, _ = solve(planner, SPHERE.changed(diverges_above=-2.0), key)
    assert outcome.status == Status.FAILED
    np.testing.assert_array_equal(outcome.actions, np.zeros((HORIZON, 2)))


def test_constraints_come_before_cost_and_infeasible_is_said(planner, key):
    outcome, _ = solve(planner, SPHERE.changed(limit=0.1), key)
    assert outcome.status == Status.OK and outcome.actions.max() <= 0.1 and outcome.margins["limit"] <= 0
    assert float(outcome.cost) < 0.15  # resting costs 0.09: it is not lost among what is feasible
    outcome, _ = solve(planner, SPHERE.changed(limit=-1.5), key)
    assert outcome.status == Status.INFEASIBLE and 0.5 <= outcome.margins["limit"] <= 1.5  # resting: 1.5


def test_a_warm_start_forgets_costs_and_keeps_a_good_plan(planner, key):
    spec = box()
    before, state = solve(planner, SPHERE, key)
    state = warm_start(planner, state, spec, jnp.int32(1))
    stale = planner.result(state, spec)
    assert np.isinf(stale.costs).all() and np.isinf(stale.terms["formula"])
    np.testing.assert_array_equal(stale.actions[:-1], before.actions[1:])


def test_a_locked_action_works(planner, key):
    spec = replace(box(), low=jnp.array([-1.0, 0.5]), high=jnp.array([1.0, 0.5]))
    outcome, _ = solve(planner, replace(SPHERE, spec=spec), key)
    np.testing.assert_array_equal(outcome.sequences[:, :, 1], np.full(outcome.sequences.shape[:2], 0.5))
    np.testing.assert_allclose(outcome.actions[:, 0], 0.3, atol=0.3)
    assert np.isfinite(outcome.spread)


def test_new_numbers_never_compile_anew(planner, key):
    objective, spec = SPHERE.objective, box()
    state = start(planner, objective, spec, key)
    outcome, state = plan(planner, objective, state, spec)
    compiled = plan._cache_size()
    plan(jax.tree.map(lambda leaf: leaf * 0.9, planner), objective, state, spec)
    plan(planner, PROBLEMS["two modes"].objective, state, spec)
    plan(planner, objective, warm_start(planner, state, spec, jnp.int32(3)), box(bound=0.5))
    assert plan._cache_size() == compiled


def test_no_setting_is_silently_ignored(planner, key):
    """Every number of a planner's configuration changes its plan."""
    problem = PROBLEMS["double integrator"]
    if isinstance(planner, Gradient):
        problem = problem.changed(limit=0.1)  # for the penalty
    plain, _ = solve(planner, problem, key)
    bounds = {"min_std": 0.9, "max_std": 0.1}  # where they bind
    numbers = {field.name: getattr(planner, field.name) for field in dataclasses.fields(planner)}
    for name, number in numbers.items():
        if isinstance(number, jax.Array):
            changed = replace(planner, **{name: jnp.float32(bounds.get(name, 0.77 * number + 0.05))})
            outcome, _ = solve(changed, problem, key)
            assert not np.array_equal(outcome.sequences, plain.sequences), name


@pytest.mark.parametrize("name", ["cem", "elite_mppi"])
def test_the_width_is_a_standard_deviation_and_each_dimensions_own(name, key):
    sampling = as_arrays(PLANNERS[name])
    spec = replace(box(), low=jnp.array([-0.1, 0.0]), high=jnp.array([0.1, 8.0]))
    narrow = replace(sampling, init_std=jnp.float32(0.2), noise_beta=jnp.float32(0.0))
    state = narrow.init(spec, key)
    draws = jax.jit(lambda state: narrow.draws(state, spec, state.draw_key(), 256))(state)
    np.testing.assert_allclose(np.std(draws, axis=(0, 1)), [0.02, 0.8], rtol=0.05)
    np.testing.assert_allclose(np.mean(draws, axis=(0, 1)), [0.0, 4.0], atol=0.1)


SHORT = {"cem"}  # the others in the slow run: each is a compile of its own


@pytest.mark.parametrize("name", [n if n in SHORT else pytest.param(n, marks=pytest.mark.slow) for n in PLANNERS])
def test_a_horizon_of_one_and_as_many_elites_as_samples_work(name, key):
    few = {"horizon": 1, "iterations": 3}
    planner = replace(as_arrays(PLANNERS[name]), **few)
    if hasattr(planner, "num_elites"):
        planner = replace(planner, num_elites=planner.num_samples)
    objective = Formula(jnp.float32(0.3), lambda target, actions: jnp.mean((actions - target) ** 2, axis=(1, 2)))
    outcome, _ = plan(planner, objective, start(planner, objective, box(), key), box())
    np.testing.assert_allclose(outcome.actions, np.full((1, 2), 0.3), atol=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNERS)
def test_no_key_is_used_twice(name, key):
    few = replace(PLANNERS[name], iterations=3)
    with jax.debug_key_reuse(True):
        state = few.warm_start(few.init(box(), key), box(), 1)
        jax.jit(few.plan)(SPHERE.objective, state, box())


def test_every_draw_is_another(key):
    sampling = as_arrays(PLANNERS["cem"])
    draw = jax.jit(lambda state: sampling.draws(state, box(bound=10.0), state.draw_key(), 2))
    state, drawn = sampling.init(box(), key), []
    for call in range(2):
        for iteration in range(3):
            drawn.append(draw(replace(state, call=jnp.int32(call), iteration=jnp.int32(iteration))))
    assert len({np.asarray(noise).tobytes() for noise in drawn}) == len(drawn)


ASK_AND_TELL = [name for name, planner in PLANNERS.items() if isinstance(planner, SamplingPlanner)]


@pytest.mark.parametrize("name", [n if n == "cem" else pytest.param(n, marks=pytest.mark.slow) for n in ASK_AND_TELL])
def test_planning_on_the_host_is_the_same_search(name, key):
    few = replace(as_arrays(PLANNERS[name]), iterations=3)
    if name == "icem":
        few = replace(few, decay=2.0)
    state = few.init(box(), key)
    seen = []

    def on_host(actions):
        assert isinstance(actions, np.ndarray)
        seen.append(actions)
        return jax.tree.map(np.asarray, SPHERE.objective(actions))

    on_device, _ = plan(few, SPHERE.objective, state, box())
    outcome, after = plan_on_host(few, on_host, state, box())
    assert tuple(len(actions) for actions in seen) == few.sizes() and after.iteration == 3
    np.testing.assert_allclose(outcome.sequences, on_device.sequences, atol=1e-5)
    np.testing.assert_allclose(outcome.costs, on_device.costs, rtol=1e-4)


def test_a_host_objective_of_the_wrong_shape_is_refused(key):
    planner = PLANNERS["cem"]
    with pytest.raises(ValueError, match=r"one number for each of 256 candidates; got shape \(\)"):
        plan_on_host(
            planner,
            lambda actions: replace(SPHERE.objective(actions), cost=np.float64(1.0)),
            planner.init(box(), key),
            box(),
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNERS)
def test_a_batch_gives_the_same_bits_as_single_plans(name, key):
    planner = replace(as_arrays(PLANNERS[name]), iterations=3)
    keys = jax.random.split(key, 3)

    def one(planner, objective, key):
        return planner.plan(objective, planner.init(box(), key), box())[0].sequences

    def many(planner, objective, keys):
        return jax.lax.map(lambda key: one(planner, objective, key), keys)

    single = jax.jit(one)
    singles = [single(planner, SPHERE.objective, key) for key in keys]
    np.testing.assert_array_equal(jax.jit(many)(planner, SPHERE.objective, keys), np.stack(singles))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLANNERS if name != "gradient"])
def test_every_sampling_planner_takes_every_proposal(name, key):
    planner = replace(as_arrays(PLANNERS[name]), proposals=(NoOp(), Given(3)))
    state = start(planner, SPHERE.objective, box(), key)
    needle = PROBLEMS["needle"]
    state = planner.with_given(state, jnp.broadcast_to(needle.known[None], (3, HORIZON, 2)))
    assert float(plan(planner, needle.objective, state, box())[0].cost) < 0.01
