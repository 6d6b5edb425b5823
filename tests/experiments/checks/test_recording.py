"""What `check data=` says of data that are good, and of data with one thing wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise, Mixture
from envs.strokes import Strokes
from experiments.checks.goals import Recorded
from experiments.checks.recording import most_important, recording
from worldmodel.data.episodes import EpisodeData

REACHER = "goal/experiments.examples.hold_reacher:HoldReacher-v0"
RECORDED = {"varied": Mixture((Strokes(longest=15), ColouredNoise()), (0.6, 0.4)), "coarse": ColouredNoise()}


def carts(episodes=40, steps=100, seed=0, delay=0) -> EpisodeData:
    """Two carts that are pushed, with friction; actions act `delay` steps later than they are logged."""
    rng = np.random.default_rng(seed)
    observations, actions = [], []
    for _ in range(episodes):
        push = Strokes().actions(np.full(2, -1.0), np.ones(2), steps, rng)
        places, speeds = [rng.uniform(-1, 1, 2)], [np.zeros(2)]
        for t in range(steps):
            acting = push[t - delay] if t >= delay else np.zeros(2)
            speeds.append(0.9 * speeds[-1] + 0.3 * acting)
            places.append(places[-1] + 0.1 * speeds[-1])
        observations.append(np.concatenate([places, speeds], axis=1).astype(np.float32))
        actions.append(push.astype(np.float32))
    return EpisodeData.of(observations, actions, ([-1, -1], [1, 1]))


def states(data: EpisodeData, period: float | None = 0.1) -> dict[str, str]:
    return {each.name: each.state for each in recording(data, period)}


def with_column(data: EpisodeData, column) -> EpisodeData:
    """The data with a further column, a function of the step in its episode and its random generator."""
    steps = np.arange(data.rows) - data.first
    more = np.asarray(column(steps.astype(float)), np.float32)[:, None]
    whole = np.concatenate([data.readings["state"], more], axis=1)
    ends = np.unique(data.last)
    begins = np.unique(data.first)
    rows = [whole[a : b + 1] for a, b in zip(begins, ends, strict=True)]
    actions = [data.actions[a:b] for a, b in zip(begins, ends, strict=True)]
    return EpisodeData.of(rows, actions, (data.action_low, data.action_high))


def test_good_data_pass_but_for_their_small_amount():
    assert {name for name, state in states(carts()).items() if state != "pass"} == {"amount"}
    assert most_important(carts()) is None


@pytest.mark.parametrize(("name", "flagged"), [("varied", False), ("coarse", True)])
def test_coarse_noise_in_gymnasiums_reacher_lacks_rest(name, flagged):
    data = Recorded(envs.make(REACHER), RECORDED[name], 30, 100).data
    found = most_important(data)
    assert (found is not None) == flagged
    if found is not None:
        assert found.name == "rest" and "near rest" in found.found and "stop at many places" in found.fix


@pytest.mark.parametrize("name", ["two_room", "umaze", "reacher"])
def test_our_own_data_are_not_flagged(name):
    assert most_important(Recorded(envs.make(name), Mixture(), 40, 200).data) is None


def test_a_delay_is_found_and_none_is_not():
    late = {each.name: each for each in recording(carts(delay=3), 0.1)}["delay"]
    assert (late.state, late.value) == ("warning", 3.0) and "(300 ms)" in late.found


@pytest.mark.parametrize(
    ("what", "column", "check"),
    [
        ("constant", lambda t: 0 * t + 1.5, "constant"),
        ("clock", lambda t: 0.5 * t, "unbounded"),
        ("wrapping angle", lambda t: (0.3 * t + 3.0) % (2 * np.pi), "angles"),
        ("offset", lambda t: 1e6 + np.sin(t), "offset"),
        ("spike", lambda t: np.where(np.arange(len(t)) == 777, 1e7, np.sin(t)), "outliers"),
    ],
)
def test_a_bad_column_is_named(what, column, check):
    found = {each.name: each for each in recording(with_column(carts(), column), 0.1)}[check]
    assert found.state == "warning" and found.found.endswith(": 4"), what


def test_actuators_that_saturate_move_together_or_hardly_move():
    data = carts()
    pushed = replace(data, actions=np.sign(data.actions).astype(np.float32))
    assert states(pushed)["saturation"] == "pass" or (np.abs(pushed.actions) == 1).mean() > 0.5
    ends = replace(data, actions=np.where(data.actions >= 0, 1.0, -1.0).astype(np.float32))
    assert states(ends)["saturation"] == "warning"
    twins = replace(data, actions=np.repeat(data.actions[:, :1], 2, axis=1))
    assert states(twins)["independence"] == "warning"
    wide = replace(data, action_low=10 * data.action_low, action_high=10 * data.action_high)
    assert states(wide)["actions"] == "warning"
    narrow = replace(data, action_low=0.1 * data.action_low, action_high=0.1 * data.action_high)
    assert states(narrow)["bounds"] == "fault"


def test_repeated_rows_copies_short_episodes_and_an_unknown_period():
    data = carts()
    frozen = data.readings["state"].copy()
    frozen[1::2] = frozen[:-1:2]
    assert states(replace(data, readings={"state": frozen}))["repeated"] == "warning"
    rows = [data.readings["state"][a : a + 101] for a in np.unique(data.first)]
    acted = [data.actions[a : a + 100] for a in np.unique(data.first)]
    copied = EpisodeData.of([*rows, *rows[:20]], [*acted, *acted[:20]], ([-1, -1], [1, 1]))
    assert states(copied)["duplicates"] == "warning"
    short = EpisodeData.of([row[:11] for row in rows], [act[:10] for act in acted], ([-1, -1], [1, 1]))
    assert states(short)["lengths"] == "warning"
    assert states(data, None)["control period"] == "fault"
