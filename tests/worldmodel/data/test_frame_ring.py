import numpy as np
import pytest

from worldmodel.data.frame_ring import FrameRing
from worldmodel.observation import ObservationSpec, Sensor

SPEC = ObservationSpec((Sensor("pixels", (4, 4, 3), "uint8"), Sensor("proprio", (2,))))


def test_what_is_written_is_read_again_and_by_the_next_run(tmp_path):
    ring = FrameRing(tmp_path / "run" / "run.frames", SPEC, 2, 5, resume=False)
    new = np.arange(2 * 48, dtype=np.uint8).reshape(2, 4, 4, 3)
    ring.write(np.array([3, 1]), {"pixels": new, "proprio": np.zeros((2, 2))}, np.array([True, True]))
    ring.write(np.array([0, 0]), {"pixels": new + 1}, np.array([False, True]))
    read = ring.read(np.array([[0, 1], [1, 0]]), np.array([[3, 1], [0, 0]]))["pixels"]
    np.testing.assert_array_equal(read, [[new[0], new[1]], [new[1] + 1, 0 * new[0]]])
    ring.flush()
    again = FrameRing(tmp_path / "run" / "run.frames", SPEC, 2, 5, resume=True)
    np.testing.assert_array_equal(again.read(np.array([1]), np.array([1]))["pixels"][0], new[1])
    fresh = FrameRing(tmp_path / "run" / "run.frames", SPEC, 2, 5, resume=False)
    assert not fresh.read(np.array([1]), np.array([1]))["pixels"].any()
    fresh.remove()
    assert not list((tmp_path / "run").iterdir())
    with pytest.raises(ValueError, match=r"run.frames.pixels, with the pictures of the run .* remove the run's .train"):
        FrameRing(tmp_path / "run" / "run.frames", SPEC, 2, 5, resume=True)
