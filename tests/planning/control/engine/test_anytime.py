import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Agent, Anytime, GoalDistance
from planning.control import Controller
from planning.control.engine import anytime, live

from ...toys import box, point_mass

PLANNER = CEM(horizon=8, num_samples=32, num_elites=6, iterations=4, num_keep=2, num_best=3)
OBSERVATION = np.zeros(2, np.float32)


class Clock:
    """Seconds that pass only where a compiled call is made: what the next ones take is set by the test."""

    def __init__(self, monkeypatch):
        self.now, self.refine, self.commit = 0.0, 0.010, 0.001
        for name in ("refine", "commit"):
            monkeypatch.setattr(live, f"_{name}", self._slow(getattr(live, f"_{name}"), name))

    def __call__(self):
        return self.now

    def _slow(self, function, name):
        def call(*args):
            self.now += getattr(self, name)
            return function(*args)

        return call


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def make(replan_every=1):
    model = point_mass(action_block=2)
    agent = Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, box(), replan_every)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), agent)


@pytest.fixture(scope="module")
def start():
    key = jax.random.key(0)
    begin = jax.jit(lambda agent, key: agent.reset(agent.init(key), jnp.array([0.3, 0.1]), key, 0))
    return lambda agent: begin(agent, key)


def warm(agent, state, clock, deadline, **options):
    planner = Anytime(deadline, clock=clock, **options)
    planner.warmup(agent, state, OBSERVATION)
    return planner


@pytest.mark.parametrize(
    ("deadline", "iterations", "elapsed"),
    [(0.0415, 4, 0.041), (0.0405, 3, 0.031), (0.0215, 2, 0.021), (10.0, 4, 0.041)],
)
def test_it_stops_before_the_iteration_that_would_be_late(clock, start, deadline, iterations, elapsed):
    agent = make()
    state = start(agent)
    planner = warm(agent, state, clock, deadline)
    action, after = planner.step(agent, state, OBSERVATION)
    assert planner.iterations == iterations == after.search.iteration
    assert planner.elapsed == pytest.approx(elapsed) and not planner.late
    np.testing.assert_array_equal(action, after.plan.actions[0])
    assert np.isfinite(after.plan.progress[:iterations]).all()


def test_the_whole_number_of_iterations_is_what_an_agent_without_deadline_does(clock, start):
    agent = make()
    state = start(agent)
    action, after = warm(agent, state, clock, deadline=1.0).step(agent, state, OBSERVATION)
    expected, plan, _ = jax.jit(Agent.step)(agent, state, OBSERVATION)
    np.testing.assert_allclose(action, expected, atol=1e-5)
    np.testing.assert_allclose(after.plan.cost, plan.cost, rtol=1e-5)


def test_more_iterations_than_the_planners_own_can_be_asked_for(clock, start):
    agent = make()
    state = start(agent)
    planner = warm(agent, state, clock, deadline=0.0715, max_iterations=50)
    _, after = planner.step(agent, state, OBSERVATION)
    assert planner.iterations == 7 and np.isfinite(after.plan.progress).all()


def test_the_first_plan_of_an_episode_is_made_even_if_late_and_later_ones_are_not(clock, start):
    agent = make()
    state = start(agent)
    clock.refine = 0.050
    planner = warm(agent, state, clock, deadline=0.0115)
    first, state = planner.step(agent, state, OBSERVATION)
    assert planner.iterations == 1 and planner.late
    plan = state.plan
    second, state = planner.step(agent, state, OBSERVATION)
    assert planner.iterations == 0 and not planner.late
    np.testing.assert_array_equal(second, plan.actions[1])  # the previous plan goes on


def test_one_slow_moment_does_not_end_planning(clock, start):
    agent = make()
    state = start(agent)
    planner = warm(agent, state, clock, deadline=0.0115, window=8)
    clock.refine = 0.200
    _, state = planner.step(agent, state, OBSERVATION)
    clock.refine = 0.010
    made = []
    for _ in range(20):
        _, state = planner.step(agent, state, OBSERVATION)
        made.append(planner.iterations)
    assert made[0] == 0 and made[-8:] == [1] * 8


def test_a_rare_slow_moment_is_not_what_is_expected(clock, start):
    times = anytime.Timings(0.9, window=20)
    for i in range(40):
        times.add(1.0 if i % 20 == 0 else 0.01)
    assert times.expected() == 0.01
    for _ in range(3):
        times.add(1.0)
    assert times.expected() == 1.0


def test_between_plans_nothing_is_refined(clock, start):
    agent = make(replan_every=3)
    state = start(agent)
    planner = warm(agent, state, clock, deadline=1.0)
    made = []
    for _ in range(7):
        _, state = planner.step(agent, state, OBSERVATION)
        made.append(planner.iterations)
    assert made == [4, 0, 0, 4, 0, 0, 4]


def test_a_deadline_that_no_iteration_keeps_is_said_at_warmup(clock, start, caplog):
    agent = make()
    warm(agent, start(agent), clock, deadline=0.005)
    assert "one iteration takes 11.0 ms, and the deadline is 5.0 ms" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"deadline": 0.0}, "the deadline must be a positive time"),
        ({"deadline": np.nan}, "the deadline must be a positive time"),
        ({"deadline": 1.0, "max_iterations": 0}, "max_iterations must be at least 1"),
        ({"deadline": 1.0, "quantile": 1.5}, "quantile must lie between 0 and 1"),
        ({"deadline": 1.0, "window": 0}, "window must be at least 1"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Anytime(**options)


def test_a_controller_with_a_deadline_compiles_in_warmup_only():
    control = Controller(make(), deadline_ms=60_000.0)
    control.warmup()
    jitted = (live._observe, live._refine, live._commit)
    before = [function._cache_size() for function in jitted]
    control.reset(goal=[0.3, 0.1])
    for _ in range(3):
        action = control.act([0.0, 0.0])
        assert np.abs(action).max() <= 1 and control.anytime.iterations == 4
    assert [function._cache_size() for function in jitted] == before
    assert not control.anytime.late and control.imagined().shape == (4, 4)
