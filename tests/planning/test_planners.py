"""What every planner must do. A new planner joins by one line in PLANNERS."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Planner, Status, plan_on_host

from .problems import HORIZON, PROBLEMS, sphere
from .toys import Formula, box

PLANNERS = {"cem": CEM(horizon=HORIZON, num_samples=256, num_elites=24, iterations=20, momentum=0.0, noise_beta=1.0)}


@jax.jit
def plan(planner, objective, state, spec):
    return planner.plan(objective, state, spec)


@jax.jit
def propose(planner, state, spec):
    return planner.propose(state, spec)


@jax.jit
def warm_start(planner, state, spec, steps):
    return planner.warm_start(state, spec, steps)


@pytest.fixture(scope="module", params=PLANNERS)
def planner(request):
    return jax.tree.map(jnp.float32, PLANNERS[request.param])


def start(planner, objective, spec, key):
    shape = jax.ShapeDtypeStruct((1, planner.horizon, spec.size), jnp.float32)
    return planner.prepare(planner.init(spec, key), jax.eval_shape(objective, shape))


def solve(planner, problem, key):
    return plan(planner, problem.objective, start(planner, problem.objective, problem.spec, key), problem.spec)


SPHERE = PROBLEMS["sphere"]


def test_it_satisfies_the_contract(planner):
    assert isinstance(planner, Planner)
    planner.validate(box())


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_solves_the_table(planner, name):
    problem = PROBLEMS[name]
    costs = [float(solve(planner, problem, jax.random.key(seed))[0].cost) for seed in range(5)]
    assert max(costs) <= problem.solved


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_plan_was_evaluated_and_lies_within_the_bounds(planner, key, name):
    problem = PROBLEMS[name]
    outcome, _ = solve(planner, problem, key)
    evaluation = problem.objective(outcome.sequences)
    np.testing.assert_allclose(evaluation.cost, outcome.costs, rtol=1e-4)
    np.testing.assert_array_equal(outcome.actions, outcome.sequences[0])
    np.testing.assert_allclose(outcome.terms["formula"], outcome.cost)
    assert outcome.cost == outcome.costs[0] and (np.diff(outcome.costs) >= 0).all()
    assert len(np.unique(np.asarray(outcome.sequences), axis=0)) == len(outcome.sequences)
    sequences = np.asarray(outcome.sequences)
    low, high = np.asarray(problem.spec.low), np.asarray(problem.spec.high)
    assert (sequences >= low).all() and (sequences <= high).all()
    assert outcome.status == Status.OK and outcome.finite_fraction == 1


def test_equal_keys_give_equal_plans_and_others_do_not(planner, key):
    first, again = solve(planner, SPHERE, key)[0], solve(planner, SPHERE, key)[0]
    other = solve(planner, SPHERE, jax.random.key(1))[0]
    np.testing.assert_array_equal(first.sequences, again.sequences)
    assert not np.array_equal(first.actions, other.actions)


def shifted_sphere(data, actions):
    return sphere(data[0], actions) + data[1]


def test_a_constant_in_the_cost_changes_nothing(planner, key):
    # 0.25 and the costs are far enough apart in size that float32 rounds no two of them together.
    plans = []
    for constant in (0.0, 0.25):
        objective = Formula((jnp.float32(0.3), jnp.float32(constant)), shifted_sphere)
        plans.append(plan(planner, objective, start(planner, objective, box(), key), box())[0])
    np.testing.assert_allclose(plans[0].actions, plans[1].actions, atol=1e-3)
    np.testing.assert_allclose(plans[1].cost - plans[0].cost, 0.25, atol=1e-4)


def broken_sphere(data, actions):
    """The sphere, with NaN wherever the mean action exceeds `data`; -inf tempts from there, too."""
    mean = jnp.mean(actions, axis=(1, 2))
    broken = jnp.where(mean > data + 0.1, -jnp.inf, jnp.nan)
    return jnp.where(mean > data, broken, sphere(0.3, actions))


def test_candidates_that_diverge_are_never_chosen(planner, key):
    objective = Formula(jnp.float32(0.2), broken_sphere)
    outcome, state = plan(planner, objective, start(planner, objective, box(), key), box())
    assert outcome.status == Status.OK and 0 < outcome.finite_fraction < 1
    assert np.isfinite(outcome.costs).all() and float(outcome.cost) < 0.05
    assert float(jnp.mean(outcome.actions)) <= 0.2
    assert all(np.isfinite(leaf).all() for leaf in (state.mean, state.std))


def test_when_everything_diverges_the_previous_plan_is_kept_and_the_state_recovers(planner, key):
    good, bad = Formula(jnp.float32(1.0), broken_sphere), Formula(jnp.float32(-2.0), broken_sphere)
    spec = box()
    before, state = plan(planner, good, start(planner, good, spec, key), spec)
    warm = warm_start(planner, state, spec, jnp.int32(2))
    failed, state = plan(planner, bad, warm, spec)
    assert failed.status == Status.FAILED and np.isinf(failed.cost) and failed.finite_fraction == 0
    np.testing.assert_array_equal(failed.actions[:-2], before.actions[2:])
    np.testing.assert_array_equal(failed.actions[-2:], np.tile(before.actions[-1:], (2, 1)))
    np.testing.assert_array_equal(state.mean, warm.mean)
    np.testing.assert_array_equal(state.std, warm.std)
    after, _ = plan(planner, good, warm_start(planner, state, spec, jnp.int32(1)), spec)
    assert after.status == Status.OK and float(after.cost) < 0.02


def test_a_failure_at_the_very_start_rests(planner, key):
    bad = Formula(jnp.float32(-2.0), broken_sphere)
    outcome, _ = plan(planner, bad, start(planner, bad, box(), key), box())
    assert outcome.status == Status.FAILED
    np.testing.assert_array_equal(outcome.actions, np.zeros((HORIZON, 2)))


def constrained(limit, actions):
    return sphere(0.3, actions), {"limit": jnp.max(actions, axis=(1, 2)) - limit}


def test_constraints_come_before_cost_and_infeasible_is_said(planner, key):
    objective = Formula(jnp.float32(0.1), constrained)
    outcome, _ = plan(planner, objective, start(planner, objective, box(), key), box())
    assert outcome.status == Status.OK and outcome.actions.max() <= 0.1 and outcome.margins["limit"] <= 0
    outcome, _ = plan(planner, replace(objective, data=jnp.float32(-1.5)), start(planner, objective, box(), key), box())
    assert outcome.status == Status.INFEASIBLE and outcome.margins["limit"] >= 0.5


def test_a_warm_start_forgets_costs_and_keeps_a_good_plan(planner, key):
    spec = box()
    before, state = solve(planner, SPHERE, key)
    state = warm_start(planner, state, spec, jnp.int32(1))
    stale = jax.jit(planner.result)(state, spec)
    assert np.isinf(stale.costs).all() and np.isinf(stale.terms["formula"])
    np.testing.assert_array_equal(stale.actions[:-1], before.actions[1:])
    known = float(SPHERE.objective(stale.actions[None]).cost[0])
    one = replace(planner, iterations=1)
    again, _ = plan(one, SPHERE.objective, replace(state, mean=jnp.zeros((HORIZON, 2))), spec)
    assert float(again.cost) <= known * (1 + 1e-5)  # the shifted plan was a candidate


def test_a_locked_action_and_a_horizon_of_one_work(planner, key):
    spec = replace(box(), low=jnp.array([-1.0, 0.5]), high=jnp.array([1.0, 0.5]))
    short = replace(planner, horizon=1, iterations=3)
    outcome, _ = plan(short, SPHERE.objective, start(short, SPHERE.objective, spec, key), spec)
    np.testing.assert_array_equal(outcome.sequences[:, :, 1], np.full((planner.num_best, 1), 0.5))
    np.testing.assert_allclose(outcome.actions[0, 0], 0.3, atol=0.1)
    assert np.isfinite(outcome.spread)


def test_new_numbers_never_compile_anew(planner, key):
    objective, spec = SPHERE.objective, box()
    state = start(planner, objective, spec, key)
    outcome, state = plan(planner, objective, state, spec)
    compiled = plan._cache_size()
    plan(jax.tree.map(lambda leaf: leaf * 0.9, planner), objective, state, spec)
    plan(planner, replace(objective, data=jnp.float32(-0.2)), state, spec)
    plan(planner, objective, warm_start(planner, state, spec, jnp.int32(3)), box(bound=0.5))
    assert plan._cache_size() == compiled


def test_no_key_is_used_twice(planner, key):
    few = replace(planner, iterations=3)
    with jax.debug_key_reuse(True):
        jax.jit(few.plan)(SPHERE.objective, few.init(box(), key), box())
    state, drawn = planner.init(box(), key), []
    for _ in range(2):
        for _ in range(3):
            plain = replace(state, mean=jnp.zeros((HORIZON, 2)), std=jnp.ones((HORIZON, 2)))
            drawn.append(np.asarray(propose(planner, plain, box(bound=10.0))[-1]))
            state = replace(state, iteration=state.iteration + 1)
        state = warm_start(planner, state, box(), jnp.int32(0))
    assert len({noise.tobytes() for noise in drawn}) == len(drawn)


def test_planning_on_the_host_is_the_same_search(planner, key):
    few = replace(planner, iterations=3)
    state = few.init(box(), key)
    seen = []

    def on_host(actions):
        assert isinstance(actions, np.ndarray)
        seen.append(actions)
        return jax.tree.map(np.asarray, SPHERE.objective(actions))

    on_device, _ = plan(few, SPHERE.objective, state, box())
    outcome, after = plan_on_host(few, on_host, state, box())
    assert len(seen) == 3 and after.iteration == 3
    np.testing.assert_allclose(outcome.sequences, on_device.sequences, atol=1e-5)
    np.testing.assert_allclose(outcome.costs, on_device.costs, rtol=1e-4)


def test_a_host_objective_of_the_wrong_shape_is_refused(planner, key):
    with pytest.raises(ValueError, match=r"one number for each of 256 candidates; got shape \(\)"):
        plan_on_host(
            planner,
            lambda actions: replace(SPHERE.objective(actions), cost=np.float64(1.0)),
            planner.init(box(), key),
            box(),
        )
