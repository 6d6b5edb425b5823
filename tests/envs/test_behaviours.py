import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise, Mixture, Scripted, StickyRandom, coloured
from envs.streams import episode_rng, stream

ALL = [ColouredNoise(), StickyRandom(), Scripted(), Mixture()]


@pytest.fixture(scope="module")
def task():
    return envs.make("two_room")


def roll(task, behaviour, episodes, steps):
    rngs = [episode_rng(0, "collect", i) for i in range(episodes)]
    return behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)


@pytest.mark.parametrize("behaviour", ALL, ids=lambda b: b.describe()["behaviour"])
def test_rollouts_are_true_within_bounds_and_independent_of_their_neighbours(task, behaviour):
    states, actions = roll(task, behaviour, 6, 40)
    assert actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
    np.testing.assert_array_equal(task.simulate(states[:, 0], actions), states[:, 1:])
    fewer, _ = roll(task, behaviour, 2, 40)
    np.testing.assert_array_equal(fewer, states[:2])
    assert not np.array_equal(actions[0], actions[1])


@pytest.mark.parametrize("steps", [200, 201])
def test_coloured_noise_has_its_spectrum_and_unit_variance(steps):
    beta = np.array([0.0, 1.0, 2.0])
    noise = np.stack([coloured(beta, steps, np.random.default_rng(i)) for i in range(400)])
    np.testing.assert_allclose((noise**2).mean(axis=(0, 1)), 1.0, atol=0.06)
    power = (np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(axis=0)[1:-1]
    frequency = np.log(np.fft.rfftfreq(steps)[1:-1])
    slopes = np.polyfit(frequency, np.log(power), 1)[0]
    np.testing.assert_allclose(slopes, -beta, atol=0.05)


def test_one_colour_for_each_action(task):
    actions = np.concatenate(roll(task, ColouredNoise(beta=(0.0, 2.0), scale=0.3), 50, 100)[1])
    change = np.abs(np.diff(actions, axis=0)).mean(axis=0)
    assert change[0] > 3 * change[1]


def test_sticky_actions_are_kept(task):
    actions = roll(task, StickyRandom(keep=0.75), 50, 200)[1]
    kept = (np.diff(actions, axis=1) == 0).all(axis=-1).mean()
    assert abs(kept - 0.75) < 0.02


def test_the_script_reaches_its_goals_and_crosses_the_door(task):
    def crossings(behaviour):
        states, _ = roll(task, behaviour, 40, 100)
        return task.needs_detour(states[:, :1], task.achieved_goal(states)).any(axis=1).mean()

    assert crossings(Scripted()) > 0.6 > 0.3 > crossings(ColouredNoise())


def test_a_goal_out_of_reach_is_given_up(task):
    still = Scripted(noise=ColouredNoise(scale=0.0), patience=5)
    drawn = []

    class Counting(type(task)):
        def sample_goal(self, rng):
            drawn.append(1)
            return np.array([0.0, -0.9])  # inside the wall: never reached

    task = Counting()
    rng = np.random.default_rng(0)
    still.rollout(task, task.pack(np.array([[0.5, 0.0]]), np.zeros((1, 2))), [rng], 21)
    assert len(drawn) == 1 + 4


def test_a_goal_that_is_reached_is_kept_for_a_while(task):
    """Without noise and standing on its goal, the script draws the next one when `dwell` more steps have passed."""
    drawn = []

    class Counting(type(task)):
        def sample_goal(self, rng):
            drawn.append(1)
            return np.array([0.5, 0.0])

    task = Counting()
    start = task.pack(np.array([[0.5, 0.0]]), np.zeros((1, 2)))
    quiet = Scripted(noise=ColouredNoise(scale=0.0), patience=100, dwell=4)
    quiet.rollout(task, start, [np.random.default_rng(0)], 15)
    assert len(drawn) == 1 + 3


def test_some_scripted_drives_are_careful_and_some_are_not(task):
    _, actions = roll(task, Scripted(noise=ColouredNoise(beta=0.0, scale=1.0)), 60, 30)
    jerk = np.abs(np.diff(actions, axis=1)).mean(axis=(1, 2))
    assert jerk.min() < 0.2 < 0.5 < jerk.max()


def test_mixture_gives_each_part_its_share(task):
    quiet, loud = ColouredNoise(scale=0.0), ColouredNoise(scale=1.0)
    _, actions = roll(task, Mixture((quiet, loud), (3.0, 1.0)), 300, 4)
    assert abs((actions == 0).all(axis=(1, 2)).mean() - 0.75) < 0.06


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ColouredNoise(scale=-1.0), "scale must not be negative"),
        (lambda: StickyRandom(keep=1.0), "keep must be a probability below 1"),
        (lambda: Mixture((ColouredNoise(),), (0.5, 0.5)), "a mixture of 1 parts needs as many shares"),
        (lambda: Mixture((ColouredNoise(),), (0.0,)), "not all zero"),
        (lambda: stream("test"), "no random stream 'test': the streams are collect, evaluate"),
    ],
)
def test_wrong_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_colours_must_fit_the_actions(task):
    with pytest.raises(ValueError, match="beta has 3 values, but the task has 2 actions"):
        roll(task, ColouredNoise(beta=(0.0, 1.0, 2.0)), 1, 5)


def test_streams_never_share_an_episode():
    draws = {episode_rng(seed, name, 7).random() for seed in (0, 1) for name in ("collect", "evaluate", "validate")}
    assert len(draws) == 6
