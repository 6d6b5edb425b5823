"""Goals that ask for what a task always asks for, and goals with several solutions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from worldmodel.losses.partial_goal import PartialGoals, fitting, goal_loss, partial_goals
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.heads import PartialGoal
from worldmodel.observation import vector


def test_a_share_of_the_goals_asks_for_exactly_what_the_task_does():
    model = create(ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8), 0)
    rng, asked = np.random.default_rng(0), (False, False, True, True)
    goals = rng.normal(size=(40, 4)).astype(np.float32)
    other = goals.copy()
    other[:, :2] = rng.normal(size=(40, 2))  # differs in what the task leaves free

    def same(share: float) -> np.ndarray:
        made = [partial_goals(model, jnp.asarray(each), jax.random.key(1), (asked,), share) for each in (goals, other)]
        return np.asarray(jnp.all(made[0].solutions == made[1].solutions, axis=(1, 2)))

    assert same(1.0).all()
    # Every other one, also among the first few; of the rest some happen to leave both out.
    assert same(0.5)[::2].all() and not same(0.5)[1::2].all() and not same(0.0).all()


def test_a_task_with_parts_asks_for_each_in_turn():
    model = create(ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8), 0)
    rng, parts = np.random.default_rng(0), ((True, True, False, False), (False, False, True, True))
    goals = rng.normal(size=(40, 4)).astype(np.float32)

    def same(free: slice) -> np.ndarray:
        other = goals.copy()
        other[:, free] = rng.normal(size=(40, 2))
        made = [partial_goals(model, jnp.asarray(each), jax.random.key(1), parts, 1.0) for each in (goals, other)]
        return np.asarray(jnp.all(made[0].solutions == made[1].solutions, axis=(1, 2)))

    first, second = same(slice(2, 4)), same(slice(0, 2))
    assert (first != second).all() and first[::2].sum() in (0, 20) and first.sum() == 20


SEVERAL = ModelConfig(vector(4), action_size=2, latent_size=4, width=8, head_width=8, goal_solutions=3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**16))
def test_the_fitting_solution_is_the_nearest_and_alone_it_learns(count, seed):
    keys = jax.random.split(jax.random.key(seed), 3)
    partial = PartialGoals(jax.random.normal(keys[0], (6, count, 4)), jax.random.normal(keys[1], (6, count)))
    goals = jax.random.normal(keys[2], (6, 4))
    away = np.linalg.norm(np.asarray(partial.solutions) - np.asarray(goals)[:, None], axis=-1)
    chosen = np.asarray(fitting(partial, goals))
    np.testing.assert_allclose(np.linalg.norm(chosen - np.asarray(goals), axis=-1), away.min(axis=1), rtol=1e-5)
    slope = jax.grad(lambda solutions: goal_loss(PartialGoals(solutions, partial.scores), goals))(partial.solutions)
    learns = np.abs(np.asarray(slope)).sum(axis=-1) > 0
    np.testing.assert_array_equal(learns, np.arange(count) == away.argmin(axis=1)[:, None])
    more = PartialGoals(jnp.concatenate([partial.solutions, goals[:, None] + 1.0], axis=1), jnp.zeros((6, count + 1)))
    assert (np.linalg.norm(fitting(more, goals) - goals, axis=-1) <= away.min(axis=1) + 1e-6).all()


def trained(solutions: int, where: np.ndarray, updates: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Solutions [M, 1] of "x is 0.5" and their shares, where y is one of `where` times x in the data."""
    head = PartialGoal(1, 1, 16, 1, nnx.Rngs(0), solutions)
    graph, params = nnx.split(head)
    optimizer = optax.adam(0.02)
    x = jax.random.uniform(jax.random.key(0), (256, 1), minval=0.2)
    y = x * jnp.asarray(np.resize(where, (256, 1)), jnp.float32)

    def loss(params: nnx.State) -> jax.Array:
        return goal_loss(PartialGoals(*nnx.merge(graph, params)(x, jnp.ones_like(x))), y)

    @jax.jit
    def descended(params: nnx.State) -> nnx.State:
        def update(carry: tuple, _: None) -> tuple:
            params, state = carry
            with jax.numpy_dtype_promotion("standard"):
                changes, state = optimizer.update(jax.grad(loss)(params), state, params)
            return (optax.apply_updates(params, changes), state), None

        return jax.lax.scan(update, (params, optimizer.init(params)), None, length=updates)[0][0]

    found, scores = nnx.merge(graph, descended(params))(jnp.full((1,), 0.5), jnp.ones(1))
    likely = head.likely(found, scores)
    return np.asarray(likely), np.asarray(jax.nn.softmax(scores))


def test_one_solution_is_the_mean_of_two_elbows_and_several_are_the_elbows():
    elbows = np.array([-1.0, 1.0])
    mean, _ = trained(1, elbows)
    np.testing.assert_allclose(mean, [[0.0]], atol=0.1)  # where no data are
    found, _ = trained(2, elbows)
    np.testing.assert_allclose(np.sort(found[:, 0]), [-0.5, 0.5], atol=0.05)


@pytest.mark.parametrize("where", [np.array([1.0]), np.array([-1.0, 1.0])], ids=["one way", "two ways"])
def test_no_solution_is_anywhere_but_where_data_are(where):
    """More solutions than there are ways: those that fit nothing are the likeliest one again."""
    found, shares = trained(4, where)
    nearest = np.abs(found - 0.5 * where[None]).min(axis=1)
    assert nearest.max() < 0.1, (found, shares)
    for way in where:
        assert np.abs(found - 0.5 * way).min() < 0.05


def test_an_unlikely_solution_is_the_likeliest_one_instead():
    head = PartialGoal(2, 1, 4, 1, nnx.Rngs(0), 3)
    latents = jnp.arange(6.0).reshape(3, 2)
    kept = head.likely(latents, jnp.log(jnp.array([0.5, 0.26, 0.24])))
    np.testing.assert_array_equal(kept, [[0, 1], [2, 3], [0, 1]])
    np.testing.assert_array_equal(head.likely(latents, jnp.zeros(3)), latents)


def test_a_model_gives_every_solution_and_a_whole_goal_is_itself_each_time():
    model = create(SEVERAL, 0)
    goal, mask = jnp.array([0.1, -0.2, 0.3, 0.4]), jnp.array([True, True, False, False])
    found = model.goal(goal, mask)
    assert found.shape == (3, 4) and len(np.unique(np.asarray(found), axis=0)) > 1
    np.testing.assert_array_equal(found, model.goal(goal.at[2:].set(7.0), mask))
    whole = model.goal(goal, jnp.ones(4, bool))
    np.testing.assert_allclose(whole, jnp.tile(model.encode(jnp.tile(goal, (2, 1))), (3, 1)), atol=1e-6)
    batch = model.goal(jnp.stack([goal, goal]), jnp.stack([mask, jnp.ones(4, bool)]))
    np.testing.assert_allclose(batch, jnp.stack([found, whole]), atol=1e-6)
    frozen = freeze(model, SEVERAL)
    np.testing.assert_allclose(frozen.heads.goal(frozen.params, goal, mask), found, atol=1e-6)
    one = create(ModelConfig(vector(4), action_size=2, latent_size=4, width=8, head_width=8), 0)
    assert one.goal(goal, mask).shape == (4,)
    for name in ("encoder", "predictor", "distance_head"):  # the other parts begin alike
        for a, b in zip(*(jax.tree.leaves(nnx.state(getattr(each, name))) for each in (model, one)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("count", [0, 65, True])
def test_a_number_of_solutions_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match="goal_solutions"):
        ModelConfig(vector(4), action_size=2, goal_solutions=count)
