"""Goals that ask for what a task always asks for."""

import jax
import jax.numpy as jnp
import numpy as np

from worldmodel.losses.partial_goal import partial_goals
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector


def test_a_share_of_the_goals_asks_for_exactly_what_the_task_does():
    model = create(ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8), 0)
    rng, asked = np.random.default_rng(0), (False, False, True, True)
    goals = rng.normal(size=(40, 4)).astype(np.float32)
    other = goals.copy()
    other[:, :2] = rng.normal(size=(40, 2))  # differs in what the task leaves free

    def same(share: float) -> np.ndarray:
        made = [partial_goals(model, jnp.asarray(each), jax.random.key(1), (asked,), share) for each in (goals, other)]
        return np.asarray(jnp.all(made[0] == made[1], axis=-1))

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
        return np.asarray(jnp.all(made[0] == made[1], axis=-1))

    first, second = same(slice(2, 4)), same(slice(0, 2))
    assert (first != second).all() and first[::2].sum() in (0, 20) and first.sum() == 20
