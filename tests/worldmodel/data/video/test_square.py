import numpy as np
import pytest

from worldmodel.data.video.square import square_picture


def test_each_pixel_is_the_mean_of_its_area():
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    expected = frame[:, 10:70].reshape(20, 3, 20, 3, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(square_picture(frame, 20) - expected).max() <= 0.501


def test_pixels_on_an_edge_count_by_their_share():
    frame = np.zeros((3, 3, 3), np.uint8)
    frame[:, 1] = 90
    np.testing.assert_array_equal(square_picture(frame, 2)[..., 0], 30)  # half of 90 in 1.5 columns


def test_a_frame_of_the_size_stays_and_a_smaller_one_is_refused():
    frame = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(square_picture(frame, 32), frame[:, 4:36])
    with pytest.raises(ValueError, match="40 × 32 pixels is smaller than the picture of 64 × 64"):
        square_picture(frame, 64)
