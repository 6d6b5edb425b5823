"""Angles of a model's observation: periods, and rotations that look the same."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.suites.fetch import cube as fetch_cube
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import ObservationSpec, Sensor


@pytest.mark.parametrize(
    ("period", "symmetry", "words"),
    [
        ((), 4, "the symmetry of sensor 'pose' is 4, and it has 0 angles"),
        ((6.0, 6.0), 2, "and it has 2 angles"),
        ((6.0, 0.0), 0, "is 0, and it has 1 angles"),
    ],
)
def test_rotations_of_no_angle_are_refused(period, symmetry, words):
    with pytest.raises(ValueError, match=words):
        Sensor("pose", (2,), period=period, symmetry=symmetry)


def test_a_symmetry_travels_from_the_task_to_the_model_and_its_file():
    spec = ObservationSpec((Sensor("pose", (2,), period=(0.0, 6.0), symmetry=4), Sensor("speed", (1,))))
    written = json.loads(json.dumps(spec.to_json()))
    assert ObservationSpec.from_json(written) == spec == ObservationSpec.of(spec.sensors)
    assert "symmetry" not in written[1]  # as earlier versions wrote it, and read it
    config = ModelConfig(spec, action_size=1)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(ValueError, match="a sensor has a field of another type|symmetry of sensor"):
        ObservationSpec.from_json([{**written[0], "symmetry": "four"}])


@settings(max_examples=20, deadline=None)
@given(st.integers(-4, 4), st.floats(-np.pi / 4, np.pi / 4))
def test_a_cube_that_is_read_up_to_a_quarter_needs_no_symmetry(quarters, yaw):
    """Fetch and OGBench read a cube's yaw with the period of a quarter: its rotations are one goal already."""
    sensor = next(each for each in fetch_cube.sensors(grips=False)[0] if each.name == "object_yaw")
    spec = ObservationSpec.of([sensor])
    model = create(ModelConfig(spec, action_size=1, latent_size=4, width=8, head_width=8), 0)
    one, other = (jnp.float32([yaw + turn]) for turn in (0.0, quarters * np.pi / 2))
    np.testing.assert_allclose(model.encoder.features(one), model.encoder.features(other), atol=1e-4)
