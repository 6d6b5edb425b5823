"""The PID controller against what theory says of it, and against the tank that it is tuned for."""

import numpy as np
import pytest

import envs
from envs.pid import Pid
from envs.stirred_tank import COMMAND, COOLING, FEED, TEMPERATURE, steady

PLAIN = {"low": -100.0, "high": 100.0, "period": 0.1}


def drive(pid, rate, start, setpoint, steps):
    """Closed loop around `dy/dt = rate(y, u)`, by Euler steps of one period."""
    y = np.array(start, float)
    state, path, given = pid.init(y), [], []
    for _ in range(steps):
        u, state = pid.control(state, np.full_like(y, setpoint), y)
        y = y + pid.period * rate(y, u)
        path.append(y)
        given.append(u)
    return np.array(path), np.array(given)


def test_the_first_control_is_the_sum_of_its_parts():
    pid = Pid(gain=2.0, integral_time=5.0, derivative_time=0.3, bias=1.0, **PLAIN)
    state = pid.init(np.array([3.0]))
    u, state = pid.control(state, np.array([4.0]), np.array([3.5]))
    assert u == pytest.approx(1.0 + 2.0 * 0.5 - 2.0 * 0.3 * 0.5 / 0.1)
    u, _ = pid.control(state, np.array([4.0]), np.array([3.5]))
    assert u == pytest.approx(1.0 + 2.0 * 0.5 + 0.1 * 2.0 / 5.0 * 0.5)


def test_the_integral_takes_away_a_constant_disturbance():
    proportional = Pid(gain=3.0, integral_time=np.inf, derivative_time=0.0, **PLAIN)
    whole = Pid(gain=3.0, integral_time=1.0, derivative_time=0.0, **PLAIN)

    def pushed(y, u):
        return -y + u - 2.0

    assert abs(drive(proportional, pushed, [0.0], 1.0, 400)[0][-1, 0] - 1.0) > 0.3
    assert abs(drive(whole, pushed, [0.0], 1.0, 400)[0][-1, 0] - 1.0) < 1e-6


def test_anti_windup_shortens_the_overshoot_after_saturation():
    def slow(y, u):
        return 0.1 * u

    bounds = {**PLAIN, "low": -1.0, "high": 1.0}
    wound = Pid(gain=2.0, integral_time=2.0, derivative_time=0.0, **bounds)
    spared = Pid(gain=2.0, integral_time=2.0, derivative_time=0.0, tracking_time=0.5, **bounds)
    overshoots = [drive(pid, slow, [0.0], 5.0, 3000)[0].max() - 5.0 for pid in (wound, spared)]
    assert overshoots[0] > 1.0 and overshoots[1] < 0.2 * overshoots[0]
    assert (np.abs(drive(wound, slow, [0.0], 5.0, 100)[1]) <= 1.0).all()


def test_the_setpoint_moves_no_faster_than_it_may_and_takeover_is_smooth():
    pid = Pid(gain=1.0, integral_time=np.inf, derivative_time=0.0, setpoint_rate=0.5, **PLAIN)
    state = pid.init(np.array([0.0, 10.0]), np.array([7.0, -7.0]))
    for k in range(3):
        u, state = pid.control(state, np.array([5.0, 5.0]), np.array([0.0, 10.0]))
        np.testing.assert_allclose(u, [7.0 + 0.05 * (k + 1), -7.0 - 0.05 * (k + 1)])


def test_loops_of_a_batch_do_not_meet():
    pid = Pid(gain=2.0, integral_time=3.0, derivative_time=0.2, filter_time=0.3, tracking_time=1.0, **PLAIN)
    both, _ = drive(pid, lambda y, u: -y + u, [0.0, 3.0], 1.0, 30)
    alone, _ = drive(pid, lambda y, u: -y + u, [3.0], 1.0, 30)
    np.testing.assert_array_equal(both[:, 1:], alone)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"period": 0.0}, "period is 0.0, but it must be positive"),
        ({"integral_time": -1.0}, "integral_time is -1.0, but it must be positive"),
        ({"filter_time": -1.0}, "filter_time is -1.0, but it must not be negative"),
        ({"low": 2.0, "high": 1.0}, "low=2.0 and high=1.0, but low must lie below high"),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Pid(**{"gain": 1.0, "integral_time": 1.0, "derivative_time": 0.0, **PLAIN, **wrong})


def held(task, states, setpoints, steps, seed=0, each=lambda k, states: None):
    """The tank under its PID, from noisy measurements: true states after each period."""
    pid, rngs = task.pid(), [np.random.default_rng([seed, i]) for i in range(len(states))]
    memory, path = pid.init(states[:, TEMPERATURE], states[:, COMMAND]), []
    for k in range(steps):
        measured = task.sense(states, rngs)["temperature"][:, 0].astype(np.float64)
        control, memory = pid.control(memory, setpoints, measured)
        states = task.simulate(states, control[:, None, None])[:, 0]
        each(k, states)
        path.append(states)
    return np.stack(path, axis=1)


def test_the_tuned_pid_holds_the_unstable_tank_over_a_thousand_changes():
    task, rng = envs.make("stirred_tank"), np.random.default_rng(0)
    states, goals = (np.stack(each) for each in zip(*(task.sample_pair(rng) for _ in range(1000)), strict=True))
    path = held(task, states, goals[:, 0], task.budget)
    assert not task.breached(path).any()
    assert task.success(path[:, -20:], goals[:, None]).mean() > 0.9
    error = task.cost(path, goals[:, None])
    assert error.mean() < 4.0 and error[:, -20:].mean() < 0.1


def test_without_control_the_tank_leaves_its_steady_state_and_the_pid_brings_it_back():
    task = envs.make("stirred_tank")
    start = np.repeat(steady(350.0)[None], 2, axis=0)
    start[:, TEMPERATURE] += [0.5, -0.5]
    left = task.simulate(start, np.zeros((2, 80, 1)))
    assert task.breached(left[0]).any() and left[1, -1, TEMPERATURE] < 335
    path = held(task, start, np.full(2, 350.0), 80)
    assert (np.abs(path[:, 40:, TEMPERATURE] - 350) < 1.0).all()


def test_the_pid_survives_a_richer_feed_and_a_fouled_jacket():
    task = envs.make("stirred_tank")
    start = np.repeat(steady(346.0)[None], 2, axis=0)
    start[0, FEED], start[1, COOLING] = 1.1, 0.8
    path = held(task, start, np.full(2, 346.0), 160)
    assert not task.breached(path).any()
    assert (np.abs(path[:, -40:, TEMPERATURE] - 346) < 1.5).all()
