"""A pursuit hands goals and states to what acts, redraws goals, and every episode draws from its own generator."""

import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise, Mixture
from envs.collect import collect
from envs.goal_parts import HasNearGoals
from envs.pursuit import Pursuit, acted_by, pursuits
from envs.push_t import PushT
from envs.pushing import Pushers
from envs.streams import episode_rng

QUIET = ColouredNoise(scale=0.0)


class Script:
    """The task's script as what acts; it keeps the redirections."""

    def __init__(self, task):
        self.task, self.goals, self.redirected = task, None, []

    def begin(self, goals, numbers):
        self.goals, self.numbers = goals.copy(), numbers

    def redirect(self, goals, which):
        self.redirected.append(which.copy())
        self.goals = np.where(which[:, None], goals, self.goals)

    def act(self, states, rngs):
        return self.task.script(states, self.goals)

    def describe(self):
        return {"model": "script"}


@pytest.fixture(scope="module")
def task():
    return envs.make("two_room")


def roll(task, behaviour, count, steps):
    rngs = [episode_rng(0, "collect", index) for index in range(count)]
    return behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, steps)


def test_goals_are_reached_kept_for_a_while_and_redrawn_one_by_one(task):
    script = Script(task)
    reached = []

    class Judging(type(task)):
        def success(self, state, goal, share=1.0):
            found = super().success(state, goal, share)
            reached.append(found)
            return found

    roll(Judging(), Pursuit(noise=QUIET, patience=60, dwell=4, by=script), 6, 150)
    assert len(set(script.numbers.tolist())) == 6
    found = np.stack(reached)  # [T, B]
    assert found.any(axis=0).all()  # the script solves each
    redrawn = np.stack(script.redirected)
    assert redrawn.sum() > 6 and (redrawn.sum(axis=1) < 6).all()  # some goals at a time, never those of all
    for episode in range(6):
        runs = "".join("x" if each else " " for each in found[:, episode]).split()
        assert max(map(len, runs)) <= 6  # the steps of `dwell`, and the moments at their ends


def test_a_goal_that_is_never_reached_is_given_up(task):
    class Still(Script):
        def act(self, states, rngs):
            return np.zeros((len(states), 2))

    still = Still(task)
    task = envs.make("two_room")
    task.success = lambda states, goals, share=1.0: np.zeros(len(states), bool)
    roll(task, Pursuit(noise=QUIET, patience=10, by=still), 3, 45)
    assert [each.all() for each in still.redirected] == [True] * 4


def test_noise_is_added_within_the_bounds_and_batches_change_nothing(task):
    states, actions = roll(task, Pursuit(by=Script(task)), 5, 40)
    np.testing.assert_array_equal(task.simulate(states[:, 0], actions), states[:, 1:])
    assert (np.abs(actions) <= 1).all()
    fewer, _ = roll(task, Pursuit(by=Script(task)), 2, 40)
    np.testing.assert_array_equal(fewer, states[:2])
    quiet, _ = roll(task, Pursuit(noise=QUIET, by=Script(task)), 5, 40)
    assert not np.array_equal(quiet, states)


def test_goals_near_a_state_move_the_block_and_depend_on_their_own_generator():
    task = PushT()
    assert isinstance(task, HasNearGoals) and not isinstance(envs.make("two_room"), HasNearGoals)

    def drawn(count):
        rngs = [np.random.default_rng([3, index]) for index in range(count)]
        states = np.stack([task.sample_state(rng) for rng in rngs])
        return states, task.goals_near(states, rngs)

    states, goals = drawn(5)
    np.testing.assert_array_equal(drawn(2)[1], goals[:2])
    assert not task.success(states, goals).any()
    moved = np.linalg.norm((task.achieved_goal(states) - goals)[:, 2:4], axis=1)
    turned = np.abs(np.angle(np.exp(1j * (task.achieved_goal(states) - goals)[:, 4])))
    assert ((moved >= task.tolerance) | (turned >= task.angle_tolerance)).all()


def test_the_share_of_near_goals_is_as_set(monkeypatch):
    task, asked = PushT(), []
    monkeypatch.setattr(PushT, "goals_near", lambda self, states, rngs: asked.extend(rngs) or np.zeros((len(rngs), 5)))
    rngs = [np.random.default_rng(index) for index in range(200)]
    states = np.repeat(task.state[None], 200, axis=0)
    for near, low, high in ((0.0, 0, 0), (0.3, 40, 80), (1.0, 200, 200)):
        asked.clear()
        goals = Pursuit(near=near)._goals(task, states, rngs)
        assert low <= len(asked) <= high and (goals == 0).all(axis=1).sum() == len(asked)


def test_a_model_acts_where_it_is_wanted_and_nowhere_else(task, tmp_path):
    mixed = Mixture((Pushers(), Pursuit(), Mixture((Pursuit(actor="reflex"), QUIET))), (1.0, 1.0, 1.0))
    assert [each.actor for each in pursuits(mixed)] == ["planner", "reflex"] and not pursuits(QUIET)
    script = Script(task)
    made = acted_by(mixed, {"planner": script, "reflex": script})
    assert [each.by for each in pursuits(made)] == [script, script]
    assert made.describe()["parts"][1]["model"] == "script" and "model" not in mixed.describe()["parts"][1]
    with pytest.raises(ValueError, match="behaviour=planner acts by a model: collect with"):
        collect(task, Pursuit(), episodes=1, steps=2, seed=0, path=tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"actor": "oracle"}, "behaviour.actor must be planner or reflex; got 'oracle'"),
        ({"near": 1.5}, "behaviour.near must be a share of the goals; got 1.5"),
    ],
)
def test_wrong_settings_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        Pursuit(**settings)
