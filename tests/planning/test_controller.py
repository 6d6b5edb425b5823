import jax
import numpy as np
import pytest

from planning import CEM, Agent, GoalDistance, Status
from planning.control import Controller
from planning.control.engine import live

from .toys import PERIOD, box, point_mass

PLANNER = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
GOAL = [0.3, 0.1]


def make_agent(eye=True, weight=1.0, bound=1.0):
    model = point_mass(action_block=2, eye=eye)
    return Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": weight}, box(bound=bound), replan_every=2)


def compiled():
    jitted = (live._begin, live._step, live._imagined)
    return [function._cache_size() for function in jitted]


@pytest.fixture
def ready():
    control = Controller(make_agent(), seed=3)
    control.warmup()
    control.reset(goal=GOAL)
    return control


def test_it_drives_to_the_goal(ready):
    position, velocity = np.zeros(2), np.zeros(2)
    for _ in range(60):
        action = ready.act(position)
        assert action.dtype == np.float32 and action.shape == (2,) and np.abs(action).max() <= 1
        velocity = velocity + PERIOD * action
        position = position + PERIOD * velocity
    assert np.linalg.norm(position - GOAL) < 0.05
    assert ready.plan.status == Status.OK


def test_nothing_compiles_after_warmup():
    control = Controller(make_agent())
    control.warmup()
    before = compiled()
    control.reset(goal=GOAL, seed=9)
    for observation in ([0, 0], np.zeros(2), np.zeros(2, np.float32), np.ones((1, 2)), jax.numpy.ones(2)):
        control.predict(observation, episode_start=np.array([True]))
    control.reset(goal=np.ones(2))
    control.act((0.0, 1.0))
    control.imagined()
    control.agent = make_agent(weight=2, bound=0.5)
    assert np.abs(control.act([0, 0])).max() <= 0.5
    assert compiled() == before


def test_equal_seeds_give_equal_episodes_and_episodes_differ(ready):
    first = ready.act([0, 0])
    ready.reset()
    second = ready.act([0, 0])
    ready.reset(seed=3)
    np.testing.assert_array_equal(ready.act([0, 0]), first)
    assert not np.array_equal(first, second)
    other = Controller(make_agent(), seed=3)
    other.reset(goal=GOAL)
    np.testing.assert_array_equal(other.act([0, 0]), first)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([0, np.nan], "observation must be finite; element 1 is nan"),
        ([1e300, 0], "observation must be finite; element 0 is inf"),
        ([0, 0, 0], r"observation must have shape \(2,\); got \(3,\)"),
        (np.zeros((2, 2)), r"must have shape \(2,\); got \(2, 2\)"),
        ("left", "observation must be 2 plain real numbers; got str"),
        ({"observation": [0, 0]}, "observation has the sensor 'observation', and the model knows state"),
        ({}, "observation lacks the sensor state: give state"),
        (None, "observation must be 2 plain real numbers; got NoneType"),
        (["1.0", "2.0"], "must be 2 plain real numbers; got list"),
        (np.array([1 + 1j, 2]), "must be 2 plain real numbers; got an array of complex128"),
        (np.ma.masked_array([0.0, 1.0], mask=[True, False]), "must be 2 plain real numbers; got an array of float64"),
    ],
)
def test_a_bad_observation_is_refused_and_harms_nothing(ready, bad, words):
    ready.act([0, 0])
    before = ready._state
    with pytest.raises(ValueError, match=words):
        ready.act(bad)
    assert ready._state is before
    with pytest.raises(ValueError, match="goal must"):
        ready.reset(goal=[np.nan, 0])
    assert ready._state is before
    assert np.isfinite(ready.act([0.1, 0])).all()


def test_before_a_reset_one_sentence_says_what_to_do():
    control = Controller(make_agent())
    for call in (lambda: control.act([0, 0]), lambda: control.predict([0, 0]), lambda: control.plan, control.imagined):
        with pytest.raises(RuntimeError, match=r"call reset\(goal=...\) first"):
            call()
    with pytest.raises(ValueError, match="needs a goal the first time"):
        control.reset()


def test_predict_is_act_with_the_signature_of_stable_baselines(ready):
    action, state = ready.predict(np.zeros(2), state=None, episode_start=np.array([True]), deterministic=True)
    ready.reset(seed=3)
    np.testing.assert_array_equal(action, ready.act(np.zeros(2)))
    assert state is None
    ready.reset(seed=3)
    batch, _ = ready.predict(np.zeros((1, 2)))
    np.testing.assert_array_equal(batch, action[None])
    with pytest.raises(ValueError, match="batch of 3"):
        ready.predict(np.zeros((3, 2)))


def test_an_episode_start_forgets_the_history(ready):
    ready.act([1, 1])
    ready.predict([0, 0], episode_start=np.array([False]))
    assert ready._state.observed == 2
    ready.predict([0, 0], episode_start=np.array([True]))
    assert ready._state.observed == 1
    np.testing.assert_array_equal(ready._state.history, np.zeros((2, 2)))


def test_the_imagined_path_is_decoded_where_the_model_can(ready):
    ready.act([0, 0])
    assert ready.imagined().shape == (4, 2)
    blind = Controller(make_agent(eye=False))
    blind.reset(goal=GOAL)
    assert blind.imagined().shape == (4, 4)


def test_parts_that_do_not_fit_are_refused_at_once():
    agent = make_agent()
    with pytest.raises(ValueError, match="one weight for each cost"):
        Controller(Agent(agent.model, agent.planner, agent.costs, {}, agent.spec))
