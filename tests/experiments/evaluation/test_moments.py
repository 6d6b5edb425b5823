"""What sensors would read along imagined futures: the same noise for each of them, and the same missing."""

from __future__ import annotations

import numpy as np

import envs
from experiments.evaluation.moments import sensed_rows, spec_of, true_rows


def test_futures_share_their_noise_and_what_is_missing():
    task = envs.make("stirred_tank")
    states = np.repeat(task.state[None, None], 2, axis=0).repeat(30, axis=1)
    states[..., 0] = np.arange(30)
    states[1, :, 2] += 5.0
    rows, spec = sensed_rows(task, states, 7), spec_of(task)
    np.testing.assert_array_equal(rows, sensed_rows(task, states, 7))
    assert not np.array_equal(rows, sensed_rows(task, states, 8))
    present = rows[..., spec.flags["composition"]]
    np.testing.assert_array_equal(present, [np.arange(30) % 10 == 0] * 2)
    temperature = rows[..., spec.slices["temperature"]]
    np.testing.assert_allclose(temperature[1] - temperature[0], 5.0, atol=1e-3)
    assert temperature[0].std() > 0.03


def test_perfect_sensors_read_the_truth():
    task = envs.make("two_room")
    states = np.random.default_rng(0).normal(size=(3, 4, task.state_size))
    np.testing.assert_array_equal(sensed_rows(task, states, 0), true_rows(task, states))
