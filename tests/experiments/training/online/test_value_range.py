import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.training.online.value_range import RangeWatch, largest_return, suited
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import vector

CONFIG = RewardModelConfig(vector(3), 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6), min_size=1, max_size=4), st.floats(0.5, 1.0))
def test_the_largest_return_is_that_of_the_definition(episodes, discount):
    returns = [
        sum(discount**step * reward for step, reward in enumerate(episode[begin:]))
        for episode in episodes
        for begin in range(len(episode))
    ]
    rewards = np.concatenate(episodes)
    ended = np.concatenate([np.arange(len(episode)) == len(episode) - 1 for episode in episodes])
    expected = max(np.abs(returns).max(), np.abs(rewards).max())
    assert largest_return(rewards, ended, discount) == pytest.approx(expected, rel=1e-9)


def test_bins_reach_as_far_as_the_rewards_that_were_seen(caplog):
    assert suited(CONFIG, 1000.0, "here") is CONFIG and not caplog.records
    seen = largest_return(np.full(50, 5000.0), np.zeros(50, bool), 0.99)
    wider = suited(CONFIG, seen, "random decisions in gym/Big")
    assert 5000.0 / (1 - 0.99) < math.expm1(wider.bin_limit) < 1e8  # the return that 50 decisions only hint at
    assert "random decisions in gym/Big reach 1.975e+05, and model.bin_limit=7 ends at 1096" in caplog.text


def test_rewards_beyond_the_bins_are_told_once(caplog):
    watch = RangeWatch(7.0)
    watch.see(np.array([1000.0, -1000.0]), "rewards")
    assert not caplog.records
    watch.see(np.array([0.0, -5000.0]), "rewards")
    watch.see(np.array([9000.0]), "returns")
    assert len(caplog.records) == 1
    assert "rewards of 5000 are beyond model.bin_limit=7, which ends at 1096" in caplog.text
    assert "begin anew with model.bin_limit=10" in caplog.text


def test_rewards_too_small_to_be_told_apart_are_told(caplog):
    assert suited(CONFIG, 0.0, "here") is CONFIG and not caplog.records  # none was earned yet
    assert suited(CONFIG, 2e-5, "here") is CONFIG
    assert "rewards and returns of here reach 2e-05 only" in caplog.text and "scale rewards up" in caplog.text
