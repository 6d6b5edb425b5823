"""Frames come back bit for bit, whatever happened to their writer; their files keep to the budget."""

import threading

import numpy as np
import pytest

from planning.control.log import frame_ring
from planning.control.log.frame_ring import FrameRing, record
from planning.control.log.stored_frames import StoredFrames

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 8, 8, 3), np.uint8)
SIZE = len(record(1, 0.0, {"pixels": PICTURES[0]}))


def written(folder, pictures=PICTURES, max_bytes=10**6):
    ring = FrameRing(folder, max_bytes)
    ring.start()
    numbers = [ring.add({"pixels": picture}, 0.1 * index) for index, picture in enumerate(pictures)]
    ring.close()
    return ring, numbers


def test_frames_come_back_bit_for_bit_by_number_and_sensor(tmp_path):
    ring = FrameRing(tmp_path / "run.frames", 10**6)
    assert ring.add({"pixels": PICTURES[0]}, 0.0) is None  # it does not run yet
    ring.start()
    depth = RNG.normal(size=(4, 4, 1)).astype(np.float32)
    reused = PICTURES[0].copy()
    first = ring.add({"pixels": reused, "depth": depth}, 1.5)
    reused[:] = 0  # a driver fills the same buffer again
    second = ring.add({"pixels": PICTURES[1]}, 2.0)
    assert (first, second) == (1, 2) and ring.add({}, 3.0) is None
    ring.close()
    assert ring.dropped == 0
    stored = StoredFrames(tmp_path / "run.frames")
    frame = stored.get(1)
    assert stored.numbers == [1, 2] and frame is not None and frame.stamp == 1.5
    np.testing.assert_array_equal(frame.pictures["pixels"], PICTURES[0])
    np.testing.assert_array_equal(frame.pictures["depth"], depth)
    assert frame.pictures["depth"].dtype == np.float32 and stored.get(3) is None
    assert StoredFrames(tmp_path / "nothing").numbers == []


def test_the_files_keep_to_the_budget_and_the_newest_frames_stay(tmp_path):
    budget = 16 * SIZE
    ring, numbers = written(tmp_path, max_bytes=budget)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= budget and ring.dropped == 0
    kept = StoredFrames(tmp_path).numbers
    assert kept == numbers[-len(kept) :] and len(kept) >= 12
    _, again = written(tmp_path, PICTURES[:3], budget)
    assert again == [41, 42, 43]  # numbers continue, and earlier frames stay until their place is needed
    later = StoredFrames(tmp_path)
    assert later.numbers[-4:] == [40, 41, 42, 43]
    np.testing.assert_array_equal(later.get(40).pictures["pixels"], PICTURES[39])
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= budget


def test_frames_before_a_kill_in_the_middle_of_a_write_are_read(tmp_path):
    written(tmp_path, PICTURES[:3])
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for length in range(2 * SIZE + 100, len(whole), 97):
        file.write_bytes(whole[:length])
        stored = StoredFrames(tmp_path)
        assert stored.numbers[:2] == [1, 2] and 3 not in stored.numbers
        np.testing.assert_array_equal(stored.get(2).pictures["pixels"], PICTURES[1])
    _, numbers = written(tmp_path, PICTURES[3:5])
    assert numbers == [3, 4] and StoredFrames(tmp_path).numbers == [1, 2, 3, 4]
    max(tmp_path.iterdir()).write_bytes(b"")  # killed before the first record of this file
    assert written(tmp_path, PICTURES[:1])[1] == [4]


def test_a_damaged_record_is_no_frame(tmp_path):
    written(tmp_path, PICTURES[:3])
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    at = content.index(b"JFR1", 1) + 150  # in the second record's pictures
    content[at] ^= 1
    file.write_bytes(content)
    stored = StoredFrames(tmp_path)
    assert stored.get(1) is not None and stored.get(2) is None and stored.get(3) is not None
    file.write_bytes(content.replace(b'"stamp": 0.2', b'"stamp": 0.7'))
    assert StoredFrames(tmp_path).get(3) is None


def test_a_slow_disk_drops_frames_counts_them_and_delays_nobody(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(frame_ring, "WAITING", 4 * PICTURES[0].nbytes)
    ring, blocked, waiting = FrameRing(tmp_path, 10**6), threading.Event(), threading.Event()
    write = ring._write

    def slow(number, data):
        waiting.set()
        blocked.wait(60)
        write(number, data)

    monkeypatch.setattr(ring, "_write", slow)
    ring.start()
    numbers = [ring.add({"pixels": PICTURES[0]}, 0.0)]
    assert waiting.wait(60)
    numbers += [ring.add({"pixels": picture}, 0.0) for picture in PICTURES[1:10]]
    assert numbers == [1, 2, 3, 4, *[None] * 6]
    blocked.set()
    ring.close()
    assert ring.dropped == 6 and StoredFrames(tmp_path).numbers == [1, 2, 3, 4]
    assert caplog.text.count("frames of") == 1 and "the disk is too slow" in caplog.text


def test_a_full_disk_loses_frames_and_leaves_whole_records(tmp_path, caplog):
    class Full:
        """A file on a disk that is full for one record."""

        def __init__(self, file):
            self._file, self.failures = file, 1

        def write(self, data):
            if self.failures:
                self.failures -= 1
                self._file.write(data[:50])
                raise OSError(28, "No space left on device")
            return self._file.write(data)

        def __getattr__(self, name):
            return getattr(self._file, name)

    ring = FrameRing(tmp_path, 10**6)
    ring._write(1, record(1, 0.0, {"pixels": PICTURES[0]}))
    ring._file = Full(ring._file)
    ring._next = 2
    ring.start()
    ring._next = 2
    for picture in PICTURES[1:4]:
        ring.add({"pixels": picture}, 0.0)
    ring.close()
    assert ring.dropped == 1 and "No space left" in caplog.text
    stored = StoredFrames(tmp_path)
    assert stored.numbers == [1, 3, 4]
    np.testing.assert_array_equal(stored.get(4).pictures["pixels"], PICTURES[3])


def test_a_frame_beyond_the_budget_is_dropped(tmp_path):
    ring, _ = written(tmp_path, PICTURES[:2], max_bytes=SIZE // 2)
    assert ring.dropped == 2 and StoredFrames(tmp_path).numbers == []


@pytest.mark.parametrize("budget", [0, -1, True])
def test_a_budget_that_is_none_is_refused(tmp_path, budget):
    with pytest.raises(ValueError, match="frame_bytes must be a whole number, 1 or more"):
        FrameRing(tmp_path, budget)
