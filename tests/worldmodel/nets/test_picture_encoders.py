import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.nets.encoders.build import BY_PATCH, PICTURE_ENCODERS, picture_encoders, picture_stacks, sized
from worldmodel.nets.encoders.picture import pairs, patches
from worldmodel.observation import ObservationSpec, Sensor

SHAPE = (32, 32, 3)


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


@pytest.fixture(params=sorted(PICTURE_ENCODERS))
def encoder(request):
    return PICTURE_ENCODERS[request.param](SHAPE, 32, rngs=nnx.Rngs(0))


def camera(kind, features=None):
    return sized(ObservationSpec((Sensor("pixels", SHAPE, dtype="uint8"),)), kind, features)


def test_features_are_of_each_picture_alone_whatever_the_batch(encoder):
    some = jnp.asarray(pictures(6))
    together = encoder(some.reshape(2, 3, *SHAPE))
    assert together.shape == (2, 3, 32) and together.dtype == jnp.float32
    np.testing.assert_allclose(together.reshape(6, 32)[4], encoder(some[4]), atol=1e-5)


def test_what_never_changes_is_not_seen(encoder):
    """The features of one picture among equal ones do not depend on what it shows: only differences do."""
    one, other = pictures(2)
    encoder.fit(np.stack([one, one]), np.stack([one, one]))
    first = encoder(jnp.asarray(one))
    encoder.fit(np.stack([other, other]), np.stack([other, other]))
    np.testing.assert_allclose(first, encoder(jnp.asarray(other)), atol=1e-5)
    assert np.abs(encoder(jnp.asarray(one)) - first).max() > 1e-3


def test_every_pixel_counts(encoder):
    encoder.fit(pictures(50), pictures(50)[::-1])
    one = pictures(1)[0]
    rows, columns = np.divmod(np.random.default_rng(0).choice(32 * 32, 40, replace=False), 32)
    changed = np.repeat(one[None], 40, axis=0)
    changed[np.arange(40), rows, columns] += 128
    apart = jnp.abs(encoder(jnp.asarray(changed)) - encoder(jnp.asarray(one))[None]).max(axis=-1)
    assert (apart > 1e-4).all()


def test_a_patch_is_a_square_of_the_picture():
    one = jnp.asarray(pictures(1))
    cut = patches(one, 8)
    assert cut.shape == (1, 16, 192)
    np.testing.assert_array_equal(cut[0, 6], one[0, 8:16, 16:24].ravel())


def test_sizes_that_do_not_fit_are_named(encoder):
    with pytest.raises(ValueError, match="a picture of 20 x 32 cannot be"):
        type(encoder)((20, 32, 3), 32, rngs=nnx.Rngs(0))


def test_a_sensor_without_an_encoder_is_named():
    spec = ObservationSpec((Sensor("depth", (32, 32), features=8),))
    with pytest.raises(ValueError, match=r"the sensor depth reads float32\[32, 32\]"):
        picture_encoders(spec, "patches", nnx.Rngs(0))


@pytest.mark.parametrize("kind", sorted(PICTURE_ENCODERS))
def test_a_stack_has_the_features_that_it_says_and_sees_the_order_of_moments(kind):
    spec = camera(kind)
    stack = picture_stacks(spec, kind, 3, nnx.Rngs(0))["pixels"]
    moments = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, spec.size)).astype(np.float32))
    features = stack(moments)
    assert features.shape == (2, stack.size)
    assert np.abs(features - stack(moments[:, ::-1])).max() > 1e-3


@pytest.mark.parametrize("kind", BY_PATCH)
def test_a_patch_that_shows_little_of_what_moves_stays_small(kind):
    spec = camera(kind)
    stack = picture_stacks(spec, kind, 1, nnx.Rngs(0))["pixels"]
    body = np.zeros((1, stack.count, spec.size // stack.count), np.float32)
    body[0, 0] = 1.0
    faint = body.copy()
    faint[0, 1:] = 0.01 * np.random.default_rng(0).normal(size=faint[0, 1:].shape)
    one, other = (np.asarray(stack(jnp.asarray(each.reshape(1, -1)))) for each in (body, faint))
    assert (np.abs(one - other).max() < 0.1 * np.abs(one).max()) == kind.startswith("motion")


@pytest.mark.parametrize("kind", BY_PATCH)
@pytest.mark.parametrize("features", [100, 16 * 193])
def test_features_that_patches_cannot_share_are_named(kind, features):
    with pytest.raises(ValueError, match=f"has 16 patches, and observation.features must be a multiple.*{features}"):
        picture_encoders(camera(kind, features), kind, nnx.Rngs(0))


def test_a_small_fast_body_stands_out_from_a_large_slow_background():
    """The background has twenty times the body's variance; the body is what changes within a few steps."""
    rng = np.random.default_rng(0)
    grid = np.arange(32) / 32

    def drawn(body, phases):
        waves = sum(np.sin(2 * np.pi * turns * grid + phase) for turns, phase in zip((1, 2), phases, strict=True))
        scene = np.repeat(128 + 30 * waves[None, :, None], 32, axis=0).repeat(3, axis=2)
        if body is not None:
            scene[body[0] : body[0] + 4, body[1] : body[1] + 4] += (40, -40, 0)
        return scene

    def picture(*scene):
        return np.rint(drawn(*scene)).astype(np.uint8)

    phases, places = rng.uniform(0, 2 * np.pi, (400, 2)), rng.integers(0, 28, (400, 2, 2))
    before = np.stack([picture(place[0], phase) for place, phase in zip(places, phases, strict=True)])

    def apart(kind, drift=0.1):
        after = np.stack([picture(place[1], phase + drift) for place, phase in zip(places, phases, strict=True)])
        encoder = PICTURE_ENCODERS[kind](SHAPE, 16 * 4, rngs=nnx.Rngs(0))
        encoder.fit(before, after)
        scenes = [np.stack([picture(body, phase) for phase in phases]) for body in (None, (2, 2))]
        empty, full = (np.asarray(encoder(jnp.asarray(each)))[:, :4] for each in scenes)  # of the first patch
        return np.linalg.norm(full.mean(axis=0) - empty.mean(axis=0)) / np.linalg.norm(empty.std(axis=0))

    assert apart("components") < 5 < apart("motion")
    assert apart("motion_twice", drift=0.5) > 2 * apart("motion", drift=0.5), "and of one that is not so slow"


def test_over_a_plain_background_nearly_as_much_is_kept_as_by_components():
    """The body is soft-edged and moves by its own size; the sensor flickers by a grey level, faint and fast."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]

    def pictures(places):
        apart = (rows - places[:, 0, None, None]) ** 2 + (columns - places[:, 1, None, None]) ** 2
        scene = 100 + 120 * np.exp(-apart / 18)[..., None] + rng.normal(size=(len(places), 32, 32, 3))
        return np.rint(scene).clip(0, 255).astype(np.uint8)

    places = rng.uniform(4, 28, (600, 2))
    before, after = pictures(places), pictures(places + rng.normal(size=(600, 2)) * 4)
    held_out = pictures(rng.uniform(4, 28, (200, 2)))

    def kept(kind):
        encoder = PICTURE_ENCODERS[kind](SHAPE, 16 * 4, rngs=nnx.Rngs(0))
        encoder.fit(before, after)
        features = np.asarray(encoder(jnp.asarray(held_out))).reshape(-1, 4)
        cut = np.asarray(patches(jnp.asarray(held_out), 8)).astype(np.float64).reshape(len(features), -1)
        cut -= cut.mean(axis=0)
        left = cut - features @ np.linalg.lstsq(features, cut, rcond=None)[0]
        return 1 - (left**2).sum() / (cut**2).sum()

    assert kept("motion") > 0.85 * kept("components") > 0.75


def test_pairs_of_pictures_never_cross_an_episode():
    last = np.array([4] * 5 + [6] * 2)
    before, after = pairs(last)
    np.testing.assert_array_equal(before, np.arange(7))
    np.testing.assert_array_equal(after, [3, 4, 4, 4, 4, 6, 6])
