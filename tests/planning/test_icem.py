"""ICEM against a plain transcription of the published algorithm, fed with the same noise."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import ICEM, Evaluation, coloured_noise

from .toys import Formula, box

PLANNER = ICEM(horizon=6, num_samples=24, num_elites=5, iterations=4, num_keep=2, num_best=4, decay=1.5)
LOW, HIGH = np.float32([-1.0, -0.5]), np.float32([1.0, 0.75])
SPEC = replace(box(), low=jnp.asarray(LOW), high=jnp.asarray(HIGH))


def valley(target, actions):
    return jnp.sum((jnp.cumsum(actions, axis=1) - target) ** 2, axis=(1, 2))


def numpy_valley(target, actions):
    return ((np.cumsum(actions, axis=1) - target) ** 2).sum(axis=(1, 2))


class Published:
    """Pinneri et al. (2020), algorithm 1, one loop after the other. Noise comes in, of unit variance, by name."""

    def __init__(self, planner, noise):
        self.p, self.noise = planner, noise
        self.mean = np.tile((LOW + HIGH) / 2, (planner.horizon, 1))
        self.elites = None

    def plan(self, cost, call):
        p = self.p
        std = np.tile(p.init_std * (HIGH - LOW) / 2, (p.horizon, 1))
        population = p.num_samples
        for i in range(p.iterations):
            if i > 0:
                population = max(2 * p.num_elites, int(population / p.decay))
            samples = np.clip(self.mean + std * self.noise(call, i)[:population], LOW, HIGH)
            if i == p.iterations - 1:
                samples[0] = self.mean
            if i == 0 and self.elites is not None:
                samples = np.concatenate([samples, self.shifted])
            costs, evaluated = cost(samples), samples
            if i > 0:
                samples = np.concatenate([samples, self.elites[: p.num_keep]])
                costs = np.concatenate([costs, self.costs[: p.num_keep]])
            best = np.argsort(costs, kind="stable")[: p.num_elites]
            self.elites, self.costs = samples[best], costs[best]
            self.mean = (1 - p.momentum) * self.elites.mean(axis=0) + p.momentum * self.mean
            std = (1 - p.momentum) * self.elites.std(axis=0) + p.momentum * std
            yield self.mean, std, self.elites, self.costs, evaluated

    def shift(self, call):
        """One step later: the mean repeats its last action, kept elites get a fresh one."""
        self.mean = np.concatenate([self.mean[1:], self.mean[-1:]])
        std = np.tile(self.p.init_std * (HIGH - LOW) / 2, (self.p.horizon, 1))
        fresh = np.clip(self.mean + std * self.noise(call, self.p.iterations), LOW, HIGH)
        kept = self.elites[: self.p.num_keep, 1:]
        self.shifted = np.concatenate([kept, fresh[: self.p.num_keep, -1:]], axis=1)


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(ICEM.propose), jax.jit(ICEM.update), jax.jit(ICEM.warm_start)


def test_it_is_the_published_algorithm_step_by_step(key, compiled):
    propose, update, warm_start = compiled

    def noise(call, iteration):
        drawn = jax.random.fold_in(jax.random.fold_in(key, call), iteration)
        count = PLANNER.num_elites if iteration == PLANNER.iterations else PLANNER.num_samples
        return np.asarray(coloured_noise(drawn, count, PLANNER.horizon, 2, PLANNER.noise_beta))

    assert PLANNER.populations() == (24, 16, 10, 10) and PLANNER.sizes() == (26, 16, 10, 10)
    published = Published(PLANNER, noise)
    state = PLANNER.init(SPEC, key)
    for call, target in enumerate((1.0, 1.5, -0.5)):
        objective = Formula(jnp.float32(target), valley)
        if call:
            published.shift(call)
            state = warm_start(PLANNER, state, SPEC, 1)
        cheapest = np.inf
        steps = published.plan(lambda actions, target=target: numpy_valley(target, actions), call)
        for mean, std, elites, costs, evaluated in steps:
            candidates = propose(PLANNER, state, SPEC)
            state = PLANNER.prepare(state, objective(candidates))
            state = update(PLANNER, state, candidates, objective(candidates))
            np.testing.assert_allclose(state.mean, mean, atol=1e-5)
            np.testing.assert_allclose(state.std, std, atol=1e-5)
            np.testing.assert_allclose(state.memory.sequences, elites, atol=1e-5)
            np.testing.assert_allclose(state.memory.evaluation.cost, costs, rtol=1e-4)
            np.testing.assert_allclose(candidates[: len(evaluated)], evaluated, atol=1e-5)
            cheapest = min(cheapest, numpy_valley(target, evaluated).min())
            # What is executed is the best of the last pool; kept elites make it the best of all.
            np.testing.assert_allclose(state.best.sequences[0], elites[0], atol=1e-5)
            np.testing.assert_allclose(state.best.evaluation.cost[0], cheapest, rtol=1e-4)


def test_a_plan_evaluates_no_more_than_the_published_populations(key):
    """And is the same search as ask and tell, whose candidates beyond the population do not count."""
    seen = []

    def counting(target, actions):
        seen.append(len(actions))
        return valley(target, actions)

    objective = Formula(jnp.float32(1.0), counting)
    state = PLANNER.init(SPEC, key)
    plan, after = jax.jit(PLANNER.plan)(objective, state, SPEC)
    assert set(seen) <= {26, 16, 10} and plan.finite_fraction == 1
    state = PLANNER.prepare(state, objective(jnp.zeros((1, 6, 2))))
    by_hand = state
    for _ in range(PLANNER.iterations):
        by_hand = PLANNER.refine(objective, by_hand, SPEC)
    np.testing.assert_allclose(by_hand.best.sequences, plan.sequences, atol=1e-5)
    np.testing.assert_allclose(by_hand.mean, after.mean, atol=1e-5)
    assert float(by_hand.finite) == pytest.approx(PLANNER.iterations)


def test_candidates_beyond_the_population_are_not_learnt_from(key, compiled):
    propose, update, _ = compiled
    state = replace(PLANNER.init(SPEC, key), iteration=jnp.int32(2))
    candidates = propose(PLANNER, state, SPEC)
    tempting = jnp.where(jnp.arange(26) < 10, 1.0, -5.0)
    after = update(PLANNER, PLANNER.prepare(state, Evaluation(tempting)), candidates, Evaluation(tempting))
    assert float(after.best.evaluation.cost[0]) == 1.0 and float(after.memory.evaluation.cost[0]) == 1.0


def test_elites_of_the_previous_plan_are_shifted_by_any_number_of_steps(key, compiled):
    _, _, warm_start = compiled
    state = PLANNER.init(SPEC, key)
    elites = jnp.broadcast_to(jnp.arange(6.0)[None, :, None] / 10, state.memory.sequences.shape)
    known = jnp.ones_like(state.memory.known)
    state = replace(state, memory=replace(state.memory, sequences=elites, known=known))
    for steps in (0, 2, 9):
        after = np.asarray(warm_start(PLANNER, state, SPEC, steps).memory.sequences)
        kept = max(6 - steps, 0)
        np.testing.assert_array_equal(after[:, :kept], np.asarray(elites)[:, 6 - kept :])
        fresh = after[:, kept:]
        assert fresh.size == 0 or len(np.unique(fresh[:, -1], axis=0)) == PLANNER.num_elites


def test_elites_rank_by_feasibility_first(key, compiled):
    propose, update, _ = compiled
    state = PLANNER.init(SPEC, key)
    candidates = propose(PLANNER, state, SPEC)
    evaluation = Evaluation(-jnp.arange(26.0), {"wall": jnp.arange(26.0) - 7})
    after = update(PLANNER, PLANNER.prepare(state, evaluation), candidates, evaluation)
    np.testing.assert_array_equal(after.memory.evaluation.cost, [-7.0, -6.0, -5.0, -4.0, -3.0])
    np.testing.assert_array_equal(after.memory.sequences, candidates[7:2:-1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_elites": 25}, r"num_elites must lie between 1 and num_samples \(24\); got 25"),
        ({"num_keep": 6}, r"num_keep must lie between 0 and num_elites \(5\); got 6"),
        ({"decay": 0.5}, r"decay must lie in \[1, inf\); got 0.5"),
        ({"num_best": 11, "num_elites": 5}, r"num_best \(11\) cannot exceed the smallest population \(10\)"),
        ({"momentum": 1.0}, "momentum must lie in"),
    ],
)
def test_a_configuration_that_cannot_plan_is_refused(key, change, words):
    with pytest.raises(ValueError, match=words):
        replace(PLANNER, **change).init(SPEC, key)
