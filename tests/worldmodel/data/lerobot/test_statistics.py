import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worldmodel.data.lerobot.statistics import merged, of_numbers, of_pictures, sampled, thinned


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 99))
def test_the_statistics_of_parts_together_are_those_of_all(lengths, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(rng.normal(), 3, (rows, 2)) for rows in lengths]
    found, every = merged([of_numbers(part) for part in parts]), np.concatenate(parts)
    assert found["count"].tolist() == [len(every)]
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(found[name], getattr(every, name)(axis=0), atol=1e-12)
    weighted = sum(len(part) * np.quantile(part, 0.9, axis=0) for part in parts) / len(every)
    np.testing.assert_allclose(found["q90"], weighted)


def test_pictures_by_colour():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)
    found = of_pictures(list(pictures))
    assert found["count"].tolist() == [4]
    np.testing.assert_allclose(found["mean"][:, 0, 0], pictures.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(found["q50"][:, 0, 0], np.median(pictures, axis=(0, 1, 2)) / 255)


def test_long_episodes_and_large_pictures_are_thinned_out():
    assert sampled(40) == set(range(40))
    assert len(sampled(10_000)) == 1000 and {0, 9_999} <= sampled(10_000)
    assert thinned(np.zeros((480, 640, 3), np.uint8)).shape == (96, 128, 3)
    assert thinned(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64, 3)
