from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    CEM,
    Agent,
    Custom,
    CVaR,
    Disagreement,
    GoalDistance,
    Imagined,
    LatentObjective,
    Mean,
    Prediction,
    Return,
    WorkspaceBox,
    Worst,
    imagine,
    score,
)

from .toys import PointMass, box, point_mass

ROOT = jnp.zeros(4)
GOAL = jnp.array([1.0, 0.0, 0.0, 0.0])
MASSES = jnp.array([0.5, 1.0, 2.0])
ACTIONS = jax.random.uniform(jax.random.key(1), (5, 6, 2), minval=-1.0, maxval=1.0)


_STATIC = ["history", "action_block", "critic", "eye", "reflexes", "ensemble"]


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=_STATIC)
@dataclass(frozen=True)
class Masses(PointMass):
    """Members that disagree about the mass: `predict` goes from latents [E, N, 4] to [E, N, 4]."""

    ensemble: int = 3

    def predict(self, params, latent, block):
        one = lambda mass, latent: PointMass.predict(self, {"mass": mass}, latent, block)  # noqa: E731
        return jax.vmap(one)(params["mass"], latent)


MEAN = Mean()
ENSEMBLE = Masses(params={"mass": MASSES}, action_block=2, eye=True)


def objective(model=ENSEMBLE, risk=MEAN, **extra):
    costs = {"goal": GoalDistance(), **extra}
    return LatentObjective(model, costs, {name: 1.0 for name in costs}, ROOT, GOAL, box(), risk=risk)


def of_members():
    """The cost of each member alone, [E, N]."""
    alone = [point_mass(action_block=2) for _ in MASSES]
    models = [replace(model, params={"mass": mass}) for model, mass in zip(alone, MASSES, strict=True)]
    return np.stack([objective(model)(ACTIONS).cost for model in models])


def test_each_member_goes_on_from_where_it_believes_to_be():
    latents = imagine(ENSEMBLE, ROOT, ACTIONS).latent
    assert latents.shape == (3, 5, 3, 4)
    for member, mass in enumerate(MASSES):
        alone = imagine(point_mass(action_block=2), ROOT, ACTIONS / mass).latent
        np.testing.assert_allclose(latents[member], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        (Mean(), lambda cost: cost.mean(0)),
        (Worst(), lambda cost: cost.max(0)),
        (CVaR(1.0), lambda cost: cost.mean(0)),
        (CVaR(0.1), lambda cost: cost.max(0)),
        (CVaR(2 / 3), lambda cost: np.sort(cost, 0)[1:].mean(0)),
        (CVaR(0.5), lambda cost: (np.sort(cost, 0)[2] + 0.5 * np.sort(cost, 0)[1]) / 1.5),
    ],
)
def test_risk_is_taken_over_the_members(risk, expected):
    evaluation = objective(risk=risk)(ACTIONS)
    np.testing.assert_allclose(evaluation.cost, expected(of_members()), rtol=1e-5)
    np.testing.assert_allclose(sum(evaluation.terms.values()), evaluation.cost, rtol=1e-6)


def test_risk_is_that_of_the_whole_trajectory_and_not_of_each_step():
    """Two members, each bad at another step: the worst future costs 1, and the sum of the worst steps would be 2."""

    def two_steps(model, imagined, spec):
        return jnp.sum(imagined.latents[..., 0], axis=1)

    latents = jnp.array([[[[1.0], [0.0]]], [[[0.0], [1.0]]]])  # [E, N, H, D]

    imagined = Imagined(jnp.zeros(1), latents, jnp.zeros(1), jnp.zeros((1, 2, 2)))
    for risk in (Worst(), CVaR(0.5)):
        evaluation = score(ENSEMBLE, {"c": Custom(two_steps)}, {"c": 1.0}, imagined, box(), risk=risk)
        np.testing.assert_allclose(evaluation.cost, [1.0])


@pytest.mark.parametrize("risk", [Mean(), Worst(), CVaR(0.3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_member_that_diverges_makes_a_candidate_the_last(risk, bad):
    def broken(model, imagined, spec):
        return imagined.latents[:, 0, 0]

    latents = jnp.array([[1.0, 5.0], [bad, 5.0], [1.0, 5.0]])[:, :, None, None]
    imagined = Imagined(jnp.zeros(1), latents, jnp.zeros(1), jnp.zeros((2, 1, 2)))
    evaluation = score(ENSEMBLE, {"c": Custom(broken)}, {"c": 1.0}, imagined, box(), risk=risk)
    assert evaluation.order().tolist() == [1, 0]
    assert not np.isfinite(evaluation.cost[0]) and evaluation.cost[1] == 5.0


def test_a_margin_is_that_of_the_worst_member():
    limit = WorkspaceBox(low=(-0.01, -9.0), high=(0.01, 9.0))
    constrained = replace(objective(), constraints={"box": limit})
    margins = [
        replace(
            objective(replace(point_mass(action_block=2, eye=True), params={"mass": mass})), constraints={"box": limit}
        )(ACTIONS).margins["box"]
        for mass in MASSES
    ]
    np.testing.assert_allclose(constrained(ACTIONS).margins["box"], np.max(margins, axis=0), rtol=1e-5)


def test_disagreement_is_the_variance_across_members_and_not_touched_by_the_risk():
    latents = np.asarray(imagine(ENSEMBLE, ROOT, ACTIONS).latent)
    for risk in (Mean(), Worst()):
        evaluation = objective(risk=risk, disagreement=Disagreement())(ACTIONS)
        np.testing.assert_allclose(evaluation.terms["disagreement"], latents.var(axis=0).sum(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(evaluation.cost, of_members().max(0) + evaluation.terms["disagreement"], rtol=1e-5)
    assert list(evaluation.terms) == ["goal", "disagreement"]


def test_a_future_that_is_known_has_no_disagreement():

    known = Imagined(ROOT, jnp.zeros((5, 3, 4)), GOAL, ACTIONS)
    np.testing.assert_array_equal(Disagreement()(ENSEMBLE, known, box()), np.zeros(5))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"risk": Worst()}, "the risk Worst compares the members of an ensemble, and only one predicts"),
        ({"risk": CVaR(0.2)}, "the risk CVaR compares"),
        ({"disagreement": Disagreement()}, "the cost disagreement compares"),
    ],
)
def test_a_single_model_cannot_be_asked_for_risk(parts, words):
    with pytest.raises(ValueError, match=words):
        objective(point_mass(action_block=2), **parts)(ACTIONS)


@pytest.mark.parametrize("alpha", [0.0, 1.5, np.nan])
def test_a_share_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha of CVaR must lie in \(0, 1\]"):
        objective(risk=CVaR(alpha))(ACTIONS)


def test_an_agent_plans_with_an_ensemble(key):
    planner = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
    costs = {"goal": GoalDistance(), "doubt": Disagreement()}
    agent = Agent(ENSEMBLE, planner, costs, {"goal": 1.0, "doubt": 0.1}, box(), risk=CVaR(0.5))
    agent = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), agent)
    step, begin = jax.jit(Agent.step), jax.jit(lambda agent: agent.reset(agent.init(key), jnp.ones(2), key, 0))
    state = begin(agent)
    _, plan, state = step(agent, state, jnp.zeros(2))
    expected = imagine(ENSEMBLE, state.root, plan.actions[None]).latent.mean(0)[0]
    np.testing.assert_allclose(plan.latents, expected, atol=1e-5)
    np.testing.assert_allclose(agent.imagined(state), expected, atol=1e-5)
    compiled = step._cache_size()
    step(replace(agent, risk=CVaR(jnp.float32(0.9))), state, jnp.zeros(2))
    assert step._cache_size() == compiled


def test_the_first_members_imagine_alone():
    """One member of an ensemble plans as a single model does, two as an ensemble of those two."""

    @partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=_STATIC)
    @dataclass(frozen=True)
    class First(Masses):
        def predict(self, params, latent, block):
            one = lambda mass, latent: PointMass.predict(self, {"mass": mass}, latent, block)  # noqa: E731
            if latent.ndim < block.ndim:
                return one(params["mass"][0], latent)
            return jax.vmap(one)(params["mass"][: len(latent)], latent)

    model = First(params={"mass": MASSES}, action_block=2, eye=True)
    alone = replace(objective(model), members=1)(ACTIONS)
    single = objective(replace(point_mass(action_block=2), params={"mass": MASSES[0]}))(ACTIONS)
    np.testing.assert_allclose(alone.cost, single.cost, rtol=1e-6)
    assert imagine(model, ROOT, ACTIONS, members=2).latent.shape == (2, 5, 3, 4)
    np.testing.assert_allclose(replace(objective(model), members=2)(ACTIONS).cost, of_members()[:2].mean(0), rtol=1e-5)
    np.testing.assert_allclose(replace(objective(model), members=3)(ACTIONS).cost, objective(model)(ACTIONS).cost)
    with pytest.raises(ValueError, match="members must lie between 1 and the 3 that the model has; got 4"):
        replace(objective(model), members=4)(ACTIONS)
    with pytest.raises(ValueError, match="the risk Worst compares the members"):
        replace(objective(model, risk=Worst()), members=1)(ACTIONS)
    with pytest.raises(ValueError, match="the cost doubt compares the members"):
        replace(objective(model, doubt=Disagreement()), members=1)(ACTIONS)


def test_each_member_earns_rewards_of_its_own():
    @partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=_STATIC)
    @dataclass(frozen=True)
    class Paid(Masses):
        def predict(self, params, latent, block):
            later = super().predict(params, latent, block).latent
            return Prediction(later, later[..., 0], jnp.full(later.shape[:-1], 0.5))

        def value(self, params, latent):
            return jnp.zeros(latent.shape[:-1])

    model = Paid({"mass": MASSES}, action_block=2)
    foreseen = imagine(model, ROOT, ACTIONS)
    assert foreseen.reward.shape == foreseen.continuation.shape == (3, 5, 3)
    each = np.asarray(foreseen.latent)[..., 0]
    expected = -(each[..., 0] + 0.5 * each[..., 1] + 0.25 * each[..., 2])
    for risk, over in ((Mean(), np.mean), (Worst(), np.max)):
        paid = LatentObjective(model, {"return": Return(1.0)}, {"return": 1.0}, ROOT, GOAL, box(), risk=risk)
        np.testing.assert_allclose(paid(ACTIONS).cost, over(expected, axis=0), rtol=1e-5, atol=1e-7)
