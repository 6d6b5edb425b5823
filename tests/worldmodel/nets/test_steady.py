"""What was not there in training is undone: light, a shifted camera, noise, and all of them at once."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import PICTURE_ENCODERS, picture_encoders
from worldmodel.nets.encoders.steady import correct_gain, denoise, register, steadied
from worldmodel.observation import ObservationSpec, Sensor

SIZE = 64


def scene():
    """A floor, a frame, a wall with a door, and one dark corner."""
    picture = np.full((SIZE, SIZE, 3), (200.0, 190.0, 170.0), np.float32)
    picture[:3], picture[-3:], picture[:, :3], picture[:, -3:] = 60.0, 60.0, 60.0, 60.0
    picture[:24, 30:33] = picture[40:, 30:33] = (90.0, 80.0, 70.0)
    picture[50:, 50:] = 10.0
    return picture


def with_body(x, y):
    """The scene with a body, and where it is."""
    picture, (rows, columns) = scene(), np.ogrid[:SIZE, :SIZE]
    body = (rows - y) ** 2 + (columns - x) ** 2 < 12
    picture[body] = (40.0, 80.0, 220.0)
    return picture, body


DRAWN = [with_body(x, y) for x, y in ((12, 20), (45, 12), (31, 32))]
PICTURES, BODIES = np.stack([picture for picture, _ in DRAWN]), np.stack([body for _, body in DRAWN])
MEAN = jnp.asarray(scene())


def shifted(pictures, down, across):
    return np.roll(pictures, (down, across), axis=(1, 2))


def noisy(pictures, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, pictures.shape)
    return np.clip(np.round(pictures + noise), 0, 255).astype(np.float32)


def test_pictures_like_those_of_the_training_data_stay_as_they_are():
    np.testing.assert_array_equal(steadied(jnp.asarray(PICTURES), MEAN), PICTURES)


def test_the_light_of_each_channel_is_undone():
    darker = np.round(PICTURES * np.array([0.7, 0.85, 1.0], np.float32))
    assert np.abs(darker - PICTURES).max() > 50
    assert np.abs(np.asarray(correct_gain(jnp.asarray(darker), MEAN)) - PICTURES).max() < 1.5
    night = correct_gain(jnp.asarray(0.01 * PICTURES, jnp.float32), MEAN)  # a covered lens is no change of light
    assert float(night.max()) < 10


@pytest.mark.parametrize("down, across", [(2, 0), (-1, 2), (3, -3)])
def test_a_camera_that_was_moved_is_put_back(down, across):
    moved = jnp.asarray(shifted(PICTURES, down, across))
    np.testing.assert_array_equal(register(moved, MEAN)[:, 4:-4, 4:-4], PICTURES[:, 4:-4, 4:-4])
    assert np.abs(np.asarray(moved) - PICTURES)[:, 4:-4, 4:-4].max() > 50


def test_noise_is_taken_out_and_bodies_stay():
    found = np.asarray(denoise(jnp.asarray(noisy(PICTURES, 15.0)), MEAN))
    off = np.abs(found - PICTURES).max(axis=-1) > 0
    assert off[~BODIES].mean() < 0.05  # of 3 channels, as many as reach 2.5 standard deviations
    apart = np.abs(found - np.asarray(MEAN)).max(axis=-1) > 50
    assert apart[BODIES].mean() > 0.95


def test_all_of_it_at_once():
    changed = noisy(shifted(PICTURES * np.array([0.75, 0.8, 0.9], np.float32), 1, -2), 8.0)
    found = np.asarray(steadied(jnp.asarray(changed), MEAN))[:, 4:-4, 4:-4]
    off = np.abs(found - PICTURES[:, 4:-4, 4:-4]).max(axis=-1)
    assert np.quantile(off, 0.9) < 1.0
    assert np.quantile(np.abs(changed - PICTURES).max(axis=-1), 0.5) > 30


def test_a_background_that_differs_everywhere_moves_no_camera():
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    waves = 30.0 * np.sin(9.0 * rows + 5.0 * columns)[None, :, :, None].astype(np.float32)
    textured = jnp.asarray(np.clip(PICTURES + waves, 0, 255))
    np.testing.assert_array_equal(register(textured, MEAN), textured)
    body = np.abs(np.asarray(denoise(textured, MEAN)) - np.asarray(MEAN)).max(axis=-1)[BODIES]
    assert (body > 50).mean() > 0.9  # a large difference is no noise, however common


@pytest.mark.parametrize("kind", sorted(PICTURE_ENCODERS))
def test_features_of_every_encoder_survive_a_change_of_light(kind):
    spec = ObservationSpec((Sensor("pixels", (SIZE, SIZE, 3), "uint8", features=256),))
    seen, darker = (jnp.asarray(PICTURES * light, jnp.uint8) for light in (1.0, 0.5))  # exact: all is even
    off = {}
    for steady in (False, True):
        encoder = picture_encoders(spec, kind, nnx.Rngs(0), steady)["pixels"]
        encoder.fit(np.asarray(seen), np.asarray(seen[::-1]))
        encoder.mean[...] = MEAN
        usual = encoder(seen)
        off[steady] = float(
            jnp.linalg.norm(encoder(darker) - usual) / jnp.linalg.norm(usual - usual.mean(axis=0, keepdims=True))
        )
    assert off[True] < 0.01 < 0.5 < off[False]


def test_pictures_are_needed_to_correct_them():
    with pytest.raises(ValueError, match="model.steady corrects pictures, and this model sees none"):
        ModelConfig(observation=ObservationSpec((Sensor("place", (2,)),)), action_size=2, probe_size=0, steady=True)


def test_encoders_of_other_packages_correct_nothing():
    spec = ObservationSpec((Sensor("pixels", (SIZE, SIZE, 3), "uint8", features=256),))
    with pytest.raises(ValueError, match="model.steady belongs to our own encoders, and mine is another package's"):
        picture_encoders(spec, "mine", nnx.Rngs(0), steady=True)


def test_a_saved_model_corrects_pictures_as_before(tmp_path):
    spec = ObservationSpec((Sensor("pixels", (SIZE, SIZE, 3), "uint8", features=1024),))
    sizes = {"latent_size": 3, "width": 4, "head_width": 4, "depth": 1, "ensemble": 1, "probe_size": 0}
    config = ModelConfig(observation=spec, action_size=2, pictures="motion", steady=True, policy=False, **sizes)
    model = create(config, 0)
    encoder = model.pictures["pixels"]
    encoder.fit(PICTURES.astype(np.uint8), PICTURES[::-1].astype(np.uint8))
    encoder.mean[...] = MEAN
    save_model(tmp_path / "m", model, config, {})
    loaded = load_model(tmp_path / "m").model
    seen, darker = (loaded.embed(loaded.params, {"pixels": jnp.asarray(PICTURES * by, jnp.uint8)}) for by in (1.0, 0.5))
    np.testing.assert_allclose(darker, seen, atol=1e-3)
    assert float(jnp.abs(seen).max()) > 1
