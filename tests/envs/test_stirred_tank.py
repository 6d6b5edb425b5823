"""A process that is no robot: its dynamics, its slow sensor, and data that neither run away nor stay still."""

import json

import minari
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs import faults
from envs.behaviours import ColouredNoise, Scripted
from envs.collect import collect
from envs.sensors import at
from envs.stirred_tank import (
    COMMAND,
    COMPOSITION,
    FEED,
    TEMPERATURE,
    TIME,
    StirredTank,
    advance,
    conversion,
    integrate,
    rates,
    steady,
)
from envs.streams import episode_rng
from envs.task import PlanarView

DATA = Scripted(noise=ColouredNoise(beta=1.0, scale=0.5), patience=60, dwell=15)  # configs/task/stirred_tank.yaml


@pytest.fixture(scope="module")
def task():
    return envs.make("stirred_tank")


def pairs(task, n, seed=0):
    rng = np.random.default_rng(seed)
    states, goals = zip(*(task.sample_pair(rng) for _ in range(n)), strict=True)
    return np.stack(states), np.stack(goals)


@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric and normalized space")  # it is in kelvin
def test_gymnasium_accepts_it(task):
    check_env(envs.make("stirred_tank"), skip_render_check=True)
    assert list(task.observation_space) == ["temperature", "composition", "composition_present", "coolant"]
    assert not isinstance(task, PlanarView) and not task.needs_detour(*pairs(task, 3)).any()
    with pytest.raises(ValueError, match="stirred_tank draws nothing"):
        envs.make("stirred_tank", "rgb_array")


def test_the_textbook_values():
    """Seborg, Edgar and Mellichamp: 300 K of coolant hold half of the feed converted at 350 K."""
    state = steady(350.0)
    assert state[COMPOSITION] == pytest.approx(0.5, abs=1e-3) and state[COMMAND] == pytest.approx(0.0, abs=0.05)
    assert conversion(np.array([350.0]), 1.1)[0] == pytest.approx(1.1 * state[COMPOSITION])


def test_steady_states_stay_and_are_unstable():
    branch = steady(np.linspace(StirredTank.goal_low, StirredTank.goal_high, 9))
    np.testing.assert_allclose(advance(branch)[:, 1:], branch[:, 1:], atol=1e-9)
    for state in branch:
        nudges = np.repeat(state[None], 4, axis=0)
        step = np.array([1e-5, 1e-3])  # of composition and temperature
        nudges[[0, 1], COMPOSITION] += [step[0], -step[0]]
        nudges[[2, 3], TEMPERATURE] += [step[1], -step[1]]
        slopes = np.stack(rates(nudges[:, COMPOSITION], nudges[:, TEMPERATURE], nudges), axis=1)
        jacobian = np.stack([(slopes[0] - slopes[1]) / (2 * step[0]), (slopes[2] - slopes[3]) / (2 * step[1])], axis=1)
        values = np.linalg.eigvals(jacobian)
        assert values.real.max() > 1.0 > 0 > values.real.min()  # a saddle: left within a minute


def test_integration_agrees_with_very_fine_steps_in_a_runaway_too():
    rng = np.random.default_rng(0)
    states = np.stack([StirredTank().sample_state(rng) for _ in range(60)])
    hottest = 0.0
    for _ in range(40):
        states[:, COMMAND] = rng.uniform(-20, 20, len(states))
        fine, states = integrate(states, 200), advance(states)
        np.testing.assert_allclose(states[:, TEMPERATURE], fine[:, TEMPERATURE], atol=0.01)
        np.testing.assert_allclose(states[:, COMPOSITION], fine[:, COMPOSITION], atol=1e-4)
        hottest = max(hottest, states[:, TEMPERATURE].max())
    assert hottest > 400 and states[:, TEMPERATURE].min() < 330  # some ran away, and some went out


def test_states_are_exact_and_batches_equal_steps(task):
    states, goals = pairs(task, 4)
    actions = np.random.default_rng(1).uniform(-20, 20, (4, 60, 1)).astype(np.float32)
    after = task.simulate(states, actions)
    np.testing.assert_array_equal(task.simulate(states[::-1], actions[::-1])[::-1], after)
    np.testing.assert_array_equal(task.simulate(after[:, 30], actions[:, 31:]), after[:, 31:])
    task.reset(options={"state": states[2], "goal": goals[2]})
    for t in range(60):
        _, reward, terminated, _, info = task.step(actions[2, t])
        np.testing.assert_array_equal(info["state"], after[2, t])
        assert reward == float(task.success(after[2, t], goals[2])) and not terminated
    np.testing.assert_array_equal(
        task.simulate(states, 99 * np.ones((4, 3, 1))), task.simulate(states, 20 * np.ones((4, 3, 1)))
    )


def test_a_control_acts_one_period_late(task):
    start = steady(np.full(2, 350.0))
    after = task.simulate(start, np.array([[[20.0], [0.0]], [[0.0], [0.0]]]))
    assert after[0, 0, TEMPERATURE] == after[1, 0, TEMPERATURE] and after[0, 0, COMMAND] == 20.0
    assert after[0, 1, TEMPERATURE] > after[1, 1, TEMPERATURE] + 1.0


def test_the_analyser_reads_every_tenth_period_and_measurements_are_noisy(task):
    states = np.repeat(steady(350.0)[None], 4000, axis=0)[None]
    states[..., TIME] = np.arange(4000)
    seen = task.sense(states, [np.random.default_rng(0)])
    present = seen["composition_present"][0, :, 0] == 1
    np.testing.assert_array_equal(np.flatnonzero(present), np.arange(0, 4000, 10))
    assert not seen["composition"][0, ~present].any()
    assert (seen["temperature"] - 350).std() == pytest.approx(0.1, rel=0.1)
    assert seen["composition"][0, present].std() == pytest.approx(0.005, rel=0.2)
    still = StirredTank(temperature_noise=0.0, composition_noise=0.0, analyser=1)
    exact = still.sense(states, [np.random.default_rng(0)])
    assert all(np.array_equal(exact[key], value) for key, value in still.observe(states).items())
    observation, _ = task.reset(seed=0)
    assert observation["composition_present"][0] == 1
    assert [task.step([0.0])[0]["composition_present"][0] for _ in range(10)] == [0] * 9 + [1]


def test_a_set_point_asks_for_the_temperature_alone(task):
    states, goals = pairs(task, 5)
    wanted = task.goal_observation(goals)
    np.testing.assert_array_equal(wanted["temperature"], goals.astype(np.float32))
    assert task.observation_space.contains(at(wanted, 0))
    assert {name: mask.tolist() for name, mask in task.goal_mask.items()} == {
        "temperature": [True],
        "composition": [False],
        "coolant": [False],
    }
    assert not task.success(states, goals).any() and task.success(steady(goals[:, 0]), goals).all()
    through = states.copy()
    through[:, TEMPERATURE] = goals[:, 0]
    assert not task.success(through, goals).any()  # the composition tells that it only passes
    np.testing.assert_allclose(task.cost(states, goals), (states[:, TEMPERATURE] - goals[:, 0]) ** 2)
    richer = steady(goals[:, 0])
    richer[:, FEED], richer[:, COMPOSITION] = 1.1, 1.1 * richer[:, COMPOSITION]
    assert task.success(richer, goals).all()


def test_chance_seldom_arrives_and_the_script_always_does(task):
    states, goals = pairs(task, 400)
    assert (np.abs(states[:, TEMPERATURE] - goals[:, 0]) >= 4).all()
    rng = np.random.default_rng(1)
    for actions in (
        rng.uniform(-20, 20, (400, 80, 1)),
        rng.uniform(-20, 20, (400, 8, 1)).repeat(10, 1),
        np.zeros((400, 80, 1)),
    ):
        assert task.success(task.simulate(states, actions), goals[:, None]).any(axis=1).mean() <= 0.05
    path = []
    for _ in range(task.budget):
        states = task.simulate(states, task.script(states, goals)[:, None])[:, 0]
        path.append(states)
    path = np.stack(path, axis=1)
    assert task.success(path, goals[:, None]).any(axis=1).all() and not task.breached(path).any()
    assert task.cost(path, goals[:, None]).mean() < 4.0


def test_data_neither_run_away_nor_stay_still(task):
    rngs = [episode_rng(0, "collect", i) for i in range(100)]
    states, actions = DATA.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, 100)
    temperature = states[..., TEMPERATURE]
    assert (temperature > 370).mean() < 0.02 and ((temperature[:, -1] > 375) | (temperature[:, -1] < 335)).mean() < 0.03
    assert np.ptp(temperature, axis=1).min() > 3.0 and temperature.std() > 4.0
    assert actions.std() > 3.0


def test_minari_stores_the_missing_readings(task, tmp_path):
    collected = collect(task, DATA, episodes=5, steps=30, seed=0, path=tmp_path / "data")
    dataset = minari.MinariDataset(tmp_path / "data")
    assert collected.simulated_seconds == 5 * 30 * 3.0 and collected.detour_share == 0
    for episode in dataset.iterate_episodes():
        assert np.flatnonzero(episode.observations["composition_present"]).tolist() == [0, 10, 20, 30]
        states = episode.infos["state"]
        np.testing.assert_allclose(episode.observations["temperature"][:, 0], states[:, TEMPERATURE], atol=0.6)
        np.testing.assert_array_equal(task.simulate(states[:1], episode.actions[None])[0], states[1:])
    described = json.loads(dataset.storage.metadata["task"])
    assert described == json.loads(json.dumps(task.describe()))
    assert described["limits"] == [{"sensor": "temperature", "component": 0, "low": None, "high": 370.0, "units": "K"}]


def test_breaches_are_of_the_declared_limit(task):
    states = steady(np.array([369.9, 370.1]))
    assert task.breached(states).tolist() == [False, True] and task.limits[0].high == 370.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.step(np.zeros(2)), r"the action has shape \(2,\), but stirred_tank expects \(1,\)"),
        (lambda t: t.set_state(np.zeros(3)), r"the state has shape \(3,\)"),
        (
            lambda t: t.simulate(np.zeros((2, 4)), np.zeros((2, 1, 1))),
            r"states \(2, 4\) and actions \(2, 1, 1\)",
        ),
        (lambda t: t.simulate(t.state[None], np.full((1, 1, 1), np.nan)), "one of those to simulate is NaN"),
        (lambda t: StirredTank(temperature_noise=-1.0), "noise must not be negative"),
        (lambda t: StirredTank(analyser=0), "the analyser reads every so many periods"),
        (lambda t: faults.names(t), "faults break the MuJoCo model of a task, and StirredTank has none"),
    ],
)
def test_wrong_input_is_named(task, call, message):
    with pytest.raises(ValueError, match=message):
        call(task)
