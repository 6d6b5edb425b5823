import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldmodel.data.float32 import Float32Columns
from worldmodel.diagnostics.linear_probe import linear_probe
from worldmodel.moments import Moments
from worldmodel.nets.normalization import Normalizer


@pytest.mark.parametrize(
    ("count", "offset", "spread"), [(1_000_000, 300.0, 0.01), (100_000, 20_000.0, 0.5), (70_000, -1e6, 30.0)]
)
def test_a_normalizer_takes_what_float64_says(count, offset, spread):
    values = (offset + spread * np.random.default_rng(0).normal(size=(count, 3))).astype(np.float32)
    normalizer = Normalizer(3)  # a single column would be summed pairwise by NumPy, and come out right by luck
    normalizer.fit(values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(normalizer.std[...], exact.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(normalizer.mean[...], exact.mean(axis=0), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 3000),
    st.floats(-1e7, 1e7),
    st.floats(1e-3, 1e3),
    st.lists(st.integers(0, 3000), max_size=3),
)
def test_moments_do_not_depend_on_where_a_table_is_cut(seed, count, offset, spread, cuts):
    values = offset + spread * np.random.default_rng(seed).normal(size=(count, 2))
    total = Moments.none(2)
    for part in np.split(values, sorted(min(cut, count) for cut in cuts)):
        total = total.merged(Moments.of(part))
    np.testing.assert_allclose(total.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(total.std, values.std(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(total.largest, np.abs(values).max(axis=0))


def test_moments_need_little_memory():
    values = np.ones((1_000_000, 8), np.float32)  # 32 MB
    tracemalloc.start()
    Moments.of(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


@settings(max_examples=30, deadline=None)
@given(st.floats(-30, 15), st.integers(0, 2**31))
def test_a_sensor_moves_in_any_unit(exponent, seed):
    values = (10.0**exponent * np.random.default_rng(seed).normal(size=(500, 1))).astype(np.float32)
    assert not Moments.of(values).still.any()
    normalizer = Normalizer(1)
    normalizer.fit(values)
    assert float(jnp.std(normalizer(jnp.asarray(values)))) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("level", [0.0, 1.0, 1e-5, 5_500_000.0])
def test_what_stands_still_but_for_rounding_is_only_centred(level):
    values = np.full((1000, 1), level, np.float32)
    values[::2] = np.nextafter(values[::2], np.float32(np.inf))
    normalizer = Normalizer(1)
    normalizer.fit(values)
    assert Moments.of(values).still.all() and normalizer.std[...] == 1.0


def test_a_probe_reads_targets_in_any_unit():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(400, 3))
    targets = np.stack([1e-7 * latents[:, 0], 1e6 + latents[:, 1], np.full(400, 5.0)], axis=1)
    found = linear_probe(latents, targets, np.repeat(np.arange(8), 50))
    assert found[:2].min() > 0.99 and np.isnan(found[2])


def utm(count=200, step=0.1):
    return np.stack([5_500_000.1 + step * (np.arange(count) % 2), np.linspace(0, 1, count)], axis=1)


def test_a_large_offset_that_float32_cannot_hold_is_told(caplog):
    columns = Float32Columns("sensor", ["east", "north"])
    cast = columns.cast(utm(), "a.csv")
    assert cast.dtype == np.float32
    columns.warn("logs")
    assert len(caplog.records) == 1
    words = "sensor 0 (east) in a.csv of logs reads about 5500000.15 and deviates by 0.05, but float32 has steps of 0.5"
    assert words in caplog.text and "subtract 5500000 from it" in caplog.text


def test_offsets_that_float32_holds_are_not_told(caplog):
    rng = np.random.default_rng(0)
    columns = Float32Columns("sensor")
    for part in range(3):  # one of them stands still, as a robot may for an episode
        columns.cast(20_000 + [0.5, 0.5, 0.0][part] * rng.normal(size=(100, 2)), f"{part}.npz")
    columns.cast(np.full((5, 2), 1e300), "3.npz")  # refused later, as not finite
    columns.warn("logs")
    assert not caplog.records
