from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    CEM,
    Agent,
    Custom,
    Effort,
    Given,
    GoalDistance,
    Gradient,
    Status,
    TemporalDistance,
    redirect_many,
    reset_many,
    step_many,
)

from .toys import PERIOD, box, point_mass

PLANNER = CEM(horizon=10, num_samples=48, num_elites=8, iterations=3, num_keep=3, num_best=4)
GOAL = jnp.array([0.4, -0.2])


def make(model=None, planner=PLANNER, replan_every=1):
    costs = {"goal": GoalDistance(), "effort": Effort()}
    weights = {"goal": jnp.float32(1.0), "effort": jnp.float32(0.01)}
    agent = Agent(model or point_mass(action_block=2), planner, costs, weights, box(), replan_every)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), agent)


step = jax.jit(Agent.step)
refine = jax.jit(Agent.refine)
many = jax.jit(step_many)
reset_batch = jax.jit(reset_many)
redirect_batch = jax.jit(redirect_many)


@jax.jit
def begin(agent, key, goal, environment):
    return agent.reset(agent.init(key), goal, key, environment)


def drive(agent, state, steps, position=(0.0, 0.0)):
    """The point mass itself: positions [steps, 2], actions, and the last state of the agent."""
    position, velocity, path, actions = np.array(position), np.zeros(2), [], []
    for _ in range(steps):
        action, _, state = step(agent, state, jnp.asarray(position, jnp.float32))
        velocity = velocity + PERIOD * np.asarray(action)
        position = position + PERIOD * velocity
        path.append(position)
        actions.append(np.asarray(action))
    return np.array(path), np.array(actions), state


@pytest.mark.parametrize("replan_every", [1, 3])
def test_the_closed_loop_reaches_the_goal_and_stays_there(key, replan_every):
    agent = make(replan_every=replan_every)
    path, actions, state = drive(agent, begin(agent, key, GOAL, 0), 50)
    assert np.linalg.norm(path[-5:] - np.asarray(GOAL), axis=1).max() < 0.05
    assert np.abs(actions).max() <= 1 and state.plan.status == Status.OK
    assert int(state.search.call) == -(-50 // replan_every)  # one search for each new plan


def test_between_plans_the_plan_is_executed_in_order(key):
    agent = make(replan_every=3)
    state = begin(agent, key, GOAL, 0)
    observations = jax.random.uniform(key, (4, 2))
    first, plan, state = step(agent, state, observations[0])
    second, _, state = step(agent, state, observations[1])
    third, same, state = step(agent, state, observations[2])
    np.testing.assert_array_equal(np.stack([first, second, third]), plan.actions[:3])
    np.testing.assert_array_equal(same.sequences, plan.sequences)
    _, new, state = step(agent, state, observations[3])
    assert not np.array_equal(new.actions, plan.actions) and state.executed == 1


def test_the_past_of_an_episodes_start_is_its_first_observation(key):
    agent = make(point_mass(action_block=2, history=3))
    state = begin(agent, key, GOAL, 0)
    np.testing.assert_array_equal(state.goal, jnp.array([0.4, -0.2, 0.0, 0.0]))
    first, second = jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0])
    state = agent.observe(state, first)
    np.testing.assert_array_equal(state.history, [[1, 2], [1, 2], [1, 2]])
    state = agent.observe(state, second)
    np.testing.assert_array_equal(state.history, [[1, 2], [1, 2], [3, 4]])
    np.testing.assert_allclose(state.root, [3, 4, 20, 20], rtol=1e-6)
    again = agent.reset(state, GOAL, key, 0)
    np.testing.assert_array_equal(agent.observe(again, second).history, [[3, 4]] * 3)


def test_refining_by_hand_is_what_a_step_does(key):
    agent = make()
    state = begin(agent, key, GOAL, 0)
    for observation in (jnp.array([0.1, 0.0]), jnp.array([0.12, 0.01])):
        action, plan, after = step(agent, state, observation)
        state = agent.observe(state, observation)
        costs = []
        for _ in range(agent.planner.iterations):
            state = refine(agent, state)
            costs.append(float(state.plan.cost))
        assert costs == sorted(costs, reverse=True)
        by_hand, state = agent.commit(state)
        np.testing.assert_allclose(by_hand, action, atol=1e-5)
        np.testing.assert_allclose(state.plan.sequences, plan.sequences, atol=1e-5)
        state = after


def test_refining_in_the_middle_of_a_plan_starts_from_where_one_is(key):
    agent = make(replan_every=3)
    state = begin(agent, key, GOAL, 0)
    for _ in range(2):
        _, plan, state = step(agent, state, jnp.zeros(2))
    state = refine(agent, agent.observe(state, jnp.zeros(2)))
    assert state.executed == 0 and not state.behind
    shifted = np.concatenate([plan.actions[2:], plan.actions[-1:], plan.actions[-1:]])
    cost = agent._objective(state.root, state.goal, state.previous)(jnp.asarray(shifted)[None]).cost[0]
    assert float(state.plan.cost) <= float(cost) * (1 + 1e-5)


def test_a_plan_that_is_used_up_holds_its_last_action(key):
    agent = make()
    _, plan, state = step(agent, begin(agent, key, GOAL, 0), jnp.zeros(2))
    for _ in range(12):
        action, state = agent.commit(state)
    np.testing.assert_array_equal(action, plan.actions[-1])


@pytest.mark.parametrize("replan_every", [1, 3])
def test_a_failed_plan_goes_on_with_the_previous_one(key, replan_every):
    agent = make(replan_every=replan_every)
    _, before, state = step(agent, begin(agent, key, GOAL, 0), jnp.zeros(2))
    broken = replace(agent, model=replace(agent.model, params={"mass": jnp.float32(jnp.nan)}))
    for i in range(1, 7):
        action, plan, state = step(broken, state, jnp.zeros(2))
        assert plan.status == (Status.FAILED if i >= replan_every else Status.OK)
        np.testing.assert_array_equal(action, before.actions[i])
    for _ in range(replan_every):
        action, plan, state = step(agent, state, jnp.zeros(2))
    assert plan.status == Status.OK and np.isfinite(action).all()


def test_a_batch_gives_the_same_bits_as_single_steps(key):
    """With more than one group of environments, some of which plan, some follow their plans, and some have ended."""
    agent = make(replan_every=3)
    count = 7
    goals = jax.random.uniform(key, (count, 2))
    states = reset_batch(agent, goals, key, jnp.arange(count))
    singles = [begin(agent, key, goals[i], i) for i in range(count)]
    rng = np.random.default_rng(0)
    for t in range(6):
        observations = jax.random.uniform(jax.random.fold_in(key, t), (count, 2))
        active = rng.random(count) < 0.7 if t else np.ones(count, bool)
        actions, plans, states = many(agent, states, observations, jnp.asarray(active))
        for i in range(count):
            if active[i]:
                action, plan, singles[i] = step(agent, singles[i], observations[i])
                np.testing.assert_array_equal(actions[i], action)
                jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda leaf, i=i: leaf[i], plans), plan)
            else:
                np.testing.assert_array_equal(actions[i], np.zeros(2))
        assert len(np.unique(np.asarray(actions)[active], axis=0)) == active.sum()
    assert len(np.unique(states.executed)) > 1


def test_what_is_not_active_stays_as_it_is(key):
    agent = make(replan_every=3)
    states = reset_batch(agent, jnp.zeros((3, 2)), key, jnp.arange(3))
    _, _, after = many(agent, states, jnp.ones((3, 2)), jnp.array([True, False, True]))
    np.testing.assert_array_equal(after.observed, [1, 0, 1])
    np.testing.assert_array_equal(after.plan.actions[1], np.zeros((10, 2)))
    np.testing.assert_array_equal(after.search.call, [1, 0, 1])


def test_draws_depend_on_key_and_environment_only(key):
    agent = make()
    first = [step(agent, begin(agent, key, GOAL, i), jnp.zeros(2))[0] for i in (0, 0, 1)]
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])


def test_the_imagined_path_is_the_rest_of_the_plan(key):
    agent = make(replan_every=3)
    path, _, state = drive(agent, begin(agent, key, GOAL, 0), 2)
    state = agent.observe(state, jnp.asarray(path[-1], jnp.float32))
    imagined = np.asarray(agent.imagined(state))
    velocity, position = (path[-1] - path[-2]) / PERIOD, path[-1]
    for block in range(4):  # eight of the ten actions are left
        for action in np.asarray(state.plan.actions)[2 + 2 * block : 4 + 2 * block]:
            velocity = velocity + PERIOD * action
            position = position + PERIOD * velocity
        np.testing.assert_allclose(imagined[block, :2], position, atol=1e-4)


@pytest.mark.parametrize("replan_every", [1, 3])
def test_a_plan_carries_what_was_imagined_of_it(key, replan_every):
    agent = make(replan_every=replan_every)
    state = begin(agent, key, GOAL, 0)
    _, plan, state = step(agent, state, jnp.array([0.1, 0.0]))
    assert plan.latents.shape == (5, 4)
    np.testing.assert_allclose(agent.imagined(state), plan.latents, atol=1e-6)  # the action is not yet observed
    np.testing.assert_allclose(plan.terms["goal"], ((plan.latents - state.goal[None]) ** 2).sum(), rtol=1e-5)
    assert plan.progress.shape == (3,) and (np.diff(plan.progress) <= 0).all() and plan.progress[-1] == plan.cost
    assert plan.effective_samples == 8  # the elites


class Hint:
    """Suggests the same action for the whole plan."""

    count = 2

    def __call__(self, objective, horizon, key):
        return jnp.full((2, horizon, 2), 0.37)


def far_from_the_hint(model, imagined, spec):
    return jnp.max(jnp.abs(imagined.actions - 0.37), axis=(1, 2))


def test_what_the_model_suggests_is_proposed(key):
    jax.tree_util.register_static(Hint)
    planner = replace(PLANNER, iterations=1, proposals=(Given(2),))
    agent = Agent(point_mass(), planner, {"far": Custom(far_from_the_hint)}, {"far": 1.0}, box(), proposals=(Hint(),))
    _, plan, state = step(agent, begin(agent, key, GOAL, 0), jnp.zeros(2))
    assert plan.cost == 0 and plan.actions[0, 0] == jnp.float32(0.37)
    with pytest.raises(ValueError, match="Gradient takes no proposals"):
        replace(agent, planner=Gradient(horizon=10)).validate()
    with pytest.raises(ValueError, match="set Given's count"):
        jax.eval_shape(replace(agent, proposals=(Hint(), Hint())).step, state, jnp.zeros(2))


def test_new_numbers_never_compile_anew(key):
    agent = make()
    state = begin(agent, key, GOAL, 0)
    _, _, state = step(agent, state, jnp.zeros(2))
    compiled = step._cache_size(), refine._cache_size()
    refine(agent, state)
    others = [
        replace(agent, model=replace(agent.model, params={"mass": jnp.float32(2.0)})),
        replace(agent, weights={"goal": jnp.float32(0.5), "effort": jnp.float32(0.5)}),
        replace(agent, planner=replace(agent.planner, init_std=jnp.float32(0.2), noise_beta=jnp.float32(0.0))),
        replace(agent, spec=box(bound=0.1)),
    ]
    for other in others:
        action, _, _ = step(other, begin(agent, key, -GOAL, 7), jnp.ones(2))
        assert np.isfinite(action).all()
    assert np.abs(action).max() <= 0.1
    assert step._cache_size() == compiled[0] and refine._cache_size() <= compiled[1] + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replan_every": 0}, r"replan_every must lie between 1 and the horizon \(10\); got 0"),
        ({"replan_every": 11}, "replan_every must lie"),
        ({"spec": box(3)}, "actions have 3 dimensions, and the model was trained with 2"),
        ({"model": point_mass(action_block=4)}, "horizon is 10 .* block of 4 .* take 8"),
        ({"weights": {"goal": 1.0}}, "one weight for each cost"),
        (
            {"costs": {"goal": TemporalDistance(), "effort": Effort()}},
            "TemporalDistance needs a model with a temporal-distance head",
        ),
        ({"planner": replace(PLANNER, num_elites=99)}, "num_elites"),
    ],
)
def test_parts_that_do_not_fit_are_refused(key, change, words):
    with pytest.raises(ValueError, match=words):
        replace(make(), **change).init(key)


def test_another_goal_in_some_environments_of_a_batch(key):
    agent = make(point_mass(action_block=2, history=3), replan_every=3)
    goals = jnp.stack([GOAL, -GOAL, GOAL])
    states = reset_batch(agent, goals, key, jnp.arange(3, dtype=jnp.int32))
    everywhere = jnp.ones(3, bool)
    for observation in jax.random.uniform(key, (2, 3, 2)):
        _, _, states = many(agent, states, observation, everywhere)
    which = jnp.array([False, True, False])
    other = redirect_batch(agent, states, jnp.stack([-GOAL, jnp.array([0.3, 0.3]), -GOAL]), which)
    for before, after in zip(jax.tree.leaves(states), jax.tree.leaves(other), strict=True):
        before, after = (jax.random.key_data(each) if each.dtype == key.dtype else each for each in (before, after))
        np.testing.assert_array_equal(before[jnp.array([0, 2])], after[jnp.array([0, 2])])
    np.testing.assert_allclose(other.goal[1], agent.solutions(jnp.array([0.3, 0.3]))[0])
    for name in ("history", "root", "previous", "observed"):
        np.testing.assert_array_equal(getattr(other, name)[1], getattr(states, name)[1])
    observation = jnp.zeros((3, 2))
    action, plan, after = many(agent, other, observation, everywhere)
    assert after.executed.tolist() == [3, 1, 3]  # it plans at once, the others go on with their plans
    np.testing.assert_array_equal(action[0], states.plan.actions[0, 2])
    fresh = agent.reset(jax.tree.map(lambda leaf: leaf[1], states), jnp.array([0.3, 0.3]), states.key[1], 2)
    fresh = replace(fresh, history=states.history[1], previous=states.previous[1], observed=states.observed[1])
    _, expected, _ = step(agent, replace(fresh, committed=states.committed[1]), observation[1])
    np.testing.assert_allclose(plan.actions[1], expected.actions, atol=1e-5)  # as if nothing had been searched before
