import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.decoder import PictureDecoder, visible
from worldmodel.nets.encoders.build import PICTURE_ENCODERS, sized
from worldmodel.nets.encoders.history import vector_size
from worldmodel.nets.encoders.picture import pairs
from worldmodel.observation import ObservationSpec, Sensor, vector
from worldmodel.training.updates import descend

from ..small import SMALL, episodes, pictured

SIZE = 16


@pytest.fixture(scope="module")
def data():
    return pictured([40] * 6, size=SIZE)


def fitted(kind, data):
    encoder = PICTURE_ENCODERS[kind]((SIZE, SIZE, 3), 64, rngs=nnx.Rngs(0))
    encoder.fit(*(data.readings["pixels"][rows] for rows in pairs(data.last)))
    return encoder


@pytest.mark.parametrize("kind", ["patches", "components"])
def test_a_decoder_learns_where_the_body_is(data, kind):
    """From the position alone, most of what differs from the mean picture can be decoded."""
    encoder = fitted(kind, data)
    target = visible(encoder, jnp.asarray(data.readings["pixels"]))
    place = jnp.tanh(jnp.asarray(episodes([40] * 6).readings["state"][:, :2]))  # of the same points
    decoder = PictureDecoder(2, target.shape[1], target.shape[2], 64, 2, nnx.Rngs(0))
    graph, params, rest = nnx.split(decoder, nnx.Param, ...)
    optimizer = optax.adam(3e-3)

    def share(params):
        missed = nnx.merge(graph, params, rest)(place) - target
        return jnp.mean(jnp.square(missed)) / jnp.mean(jnp.square(target)), None

    update = jax.jit(lambda params, state: descend(share, params, optimizer, state)[:2])
    state, before = optimizer.init(params), float(share(params)[0])
    for _ in range(150):
        params, state = update(params, state)
    assert before > 0.8 and float(share(params)[0]) < 0.2


@pytest.mark.parametrize("kind", sorted(PICTURE_ENCODERS))
def test_the_target_is_the_difference_from_the_mean_picture(data, kind):
    encoder = fitted(kind, data)
    mean = np.rint(data.readings["pixels"].mean(axis=0)).astype(np.uint8)
    some = np.stack([mean, *data.readings["pixels"][:5]]).reshape(2, 3, SIZE, SIZE, 3)
    seen = visible(encoder, jnp.asarray(some))
    assert seen.shape == (2, 3, 4, 16 if kind in ("components", "motion", "motion_twice") else 192)
    assert float(jnp.abs(seen[0, 0]).max()) < 0.2 < float(jnp.abs(seen[1, 1]).max())


@pytest.mark.parametrize("kind", ["components", "motion"])
def test_components_are_decoded_from_pictures_as_from_what_training_keeps_of_them(data, kind):
    encoder = fitted(kind, data)
    pictures = jnp.asarray(data.readings["pixels"][:4])
    np.testing.assert_allclose(visible(encoder, encoder.project(pictures)), visible(encoder, pictures), atol=1e-2)


def test_features_of_pictures_are_not_decoded():
    spec = ObservationSpec(
        (Sensor("a", (2,), period=(0.0, 6.0)), Sensor("pixels", (16, 16, 3), "uint8", features=8, optional=True))
    )
    assert vector_size(spec) == 4  # with the flag, and the angle's cosine
    assert vector_size(vector(3)) == 3


@pytest.mark.parametrize("pictures", sorted(PICTURE_ENCODERS))
def test_a_decoder_changes_no_other_initial_weight(data, pictures):
    config = dataclasses.replace(SMALL, observation=sized(data.spec, pictures, 8), pictures=pictures)
    plain, twin = (
        dict(nnx.to_flat_state(nnx.state(create(each, 0))))
        for each in (config, dataclasses.replace(config, decoder=True))
    )
    assert set(plain) < set(twin) and {path[0] for path in set(twin) - set(plain)} == {"decoder"}
    assert all(np.array_equal(plain[path][...], twin[path][...]) for path in plain)


def test_the_decoder_of_a_vector_is_as_it_was():
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=8, width=16, decoder=True)
    decoder = create(config, 0).decoder
    assert decoder.pictures is None and decoder.vectors(jnp.zeros((5, 8))).shape == (5, 4)
