"""The frames that a model remembers: the moments that they are of, and their file."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from envs.vision.camera import available
from experiments.build.embeddings import embedded
from experiments.pictures.memory import FRAMES, Memory, copy_memory, load_memory, memory_file
from worldmodel.observation import ObservationSpec

from .small import seen_task, small_model, wandering


@pytest.fixture(scope="module")
def remembered():
    if (reason := available()) is not None:
        pytest.skip(reason)
    task = seen_task()
    data = wandering(task)
    model = small_model(task, data)
    task.close()
    return model, data, Memory.of(model, data)


def test_latents_are_those_of_the_moments_and_the_nearest_is_the_moment_itself(remembered):
    model, data, memory = remembered
    assert len(memory.latents) == min(FRAMES, data.rows) == len(memory.frames["pixels"])
    rows = embedded(model, data.readings)
    for moment in (0, 1, 40):  # two at the start of an episode, where the first one repeats
        past = np.maximum(np.arange(moment - 2, moment + 1), data.first[moment])
        latent = np.asarray(model.encode(model.params, jnp.asarray(rows[past])))
        np.testing.assert_allclose(memory.latents[moment], latent, atol=1e-5)
        found = memory.nearest(latent)
        np.testing.assert_allclose(memory.latents[found], latent, atol=1e-5)
        np.testing.assert_array_equal(memory.frames["pixels"][moment], data.readings["pixels"][moment])


def test_the_file_keeps_everything_and_is_small(remembered, tmp_path):
    model, data, memory = remembered
    path = memory_file(tmp_path / "two_room.safetensors")
    memory.save(path)
    again = load_memory(tmp_path / "two_room.bundle", data.spec, model.latent_size)
    assert again is not None and path.name == "two_room.memory.safetensors"
    np.testing.assert_array_equal(again.latents, memory.latents)
    np.testing.assert_array_equal(again.frames["pixels"], memory.frames["pixels"])
    for name in ("low", "high", "colours", "moving"):
        one, other = (getattr(each.appearances["pixels"], name) for each in (again, memory))
        np.testing.assert_array_equal(one, other)
    assert path.stat().st_size < 0.1 * memory.frames["pixels"].nbytes
    copy_memory(tmp_path / "two_room.safetensors", tmp_path / "robot.bundle")
    assert (tmp_path / "robot.memory.safetensors").read_bytes() == path.read_bytes()


def test_what_is_no_memory_of_the_model_is_named(remembered, tmp_path):
    model, data, memory = remembered
    path = memory_file(tmp_path / "m.safetensors")
    assert load_memory(tmp_path / "m.safetensors", data.spec, model.latent_size) is None
    memory.save(path)
    with pytest.raises(ValueError, match="is the memory of a model with other cameras or latents: remove it"):
        load_memory(tmp_path / "m.safetensors", data.spec, model.latent_size + 1)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match="is not a model's memory that this version reads .*: remove it"):
        load_memory(tmp_path / "m.safetensors", data.spec, model.latent_size)


def test_a_moment_without_a_picture_is_not_remembered(remembered):
    model, data, memory = remembered
    assert memory.appearances["pixels"].low.min() > 0
    sensors = tuple(replace(each, optional=True) for each in data.spec.sensors)
    present = np.ones((data.rows, 1), np.uint8)
    present[::3] = 0
    pictures = data.readings["pixels"] * present[:, :, None, None]
    with_gaps = replace(data, readings={"pixels": pictures, "pixels_present": present}, spec=ObservationSpec(sensors))
    task = SimpleNamespace(action_space=SimpleNamespace(shape=(2,)))
    found = Memory.of(small_model(task, with_gaps), with_gaps)
    assert len(found.latents) == present.sum() and found.frames["pixels"].min() > 0
    assert found.appearances["pixels"].low.min() > 0
