from pathlib import Path

import numpy as np
import pytest

from worldmodel.data.video.alignment import align
from worldmodel.data.video.reel import Reel

LOG = Path("run.csv")


def reel(stamps=None, numbers=None):
    count = len(stamps if numbers is None else numbers)
    return Reel(
        Path("front"),
        np.zeros((count, 2, 2, 3), np.uint8),
        None if stamps is None else np.asarray(stamps, np.float64),
        np.arange(count) if numbers is None else np.asarray(numbers),
        np.arange(count),
        np.zeros(count, bool),
        (2, 2),
    )


def every(period, count):
    return period * np.arange(count)


def test_the_newest_frame_that_is_not_later_is_taken():
    video = reel(every(0.03, 20))
    found = align(LOG, 6, video, every(0.1, 6), None)
    np.testing.assert_array_equal(found.frames, [0, 3, 6, 10, 13, 16])
    assert found.dropped == 0 and not found.note


def test_a_slow_camera_shows_a_frame_twice():
    found = align(LOG, 7, reel(every(0.1, 4)), every(0.05, 7), None)
    np.testing.assert_array_equal(found.frames, [0, 0, 1, 1, 2, 2, 3])
    assert found.dropped == 0


def test_rounded_time_stamps_are_no_other_frame():
    stamps, moments = np.round(every(1 / 30, 40), 3), every(1 / 30, 31)
    np.testing.assert_array_equal(align(LOG, 31, reel(stamps), moments, None).frames, np.arange(31))


def test_the_log_and_the_video_start_together_whatever_their_clocks_say():
    found = align(LOG, 3, reel(7.0 + every(0.05, 5)), 1e9 + every(0.05, 3), None)
    np.testing.assert_array_equal(found.frames, [0, 1, 2])


def test_dropped_frames_are_counted_within_the_log():
    stamps = np.delete(every(0.05, 40), [5, 6, 12, 35])
    found = align(LOG, 21, reel(stamps), every(0.05, 21), None)
    assert found.dropped == 3
    np.testing.assert_array_equal(found.frames[3:9], [3, 4, 4, 4, 5, 6])


def test_one_frame_a_row_is_read_row_by_row_and_another_rate_is_noted():
    found = align(LOG, 21, reel(every(1 / 30, 21)), every(0.05, 21), None)
    np.testing.assert_array_equal(found.frames, np.arange(21))
    assert "lasts 0.667 s, its log 1 s" in found.note
    assert not align(LOG, 21, reel(every(0.0501, 21)), every(0.05, 21), None).note
    assert align(LOG, 21, reel(every(0.05, 21)), None, None).frames[-1] == 20


def test_one_frame_a_row_with_a_gap_goes_by_time():
    stamps = np.delete(every(0.05, 22), [3])  # one dropped, one more at the end
    found = align(LOG, 21, reel(stamps), every(0.05, 21), None)
    np.testing.assert_array_equal(found.frames[:6], [0, 1, 2, 2, 3, 4])
    assert found.dropped == 1


def test_a_column_of_frames_counts_before_time():
    found = align(LOG, 3, reel(every(0.05, 9)), every(0.05, 3), np.array([2.0, 2.0, 8.0]))
    np.testing.assert_array_equal(found.frames, [2, 2, 8])
    found = align(LOG, 3, reel(numbers=[10, 11, 13]), None, np.array([10.0, 13.0, 13.0]))
    np.testing.assert_array_equal(found.frames, [0, 2, 2])


def test_numbers_of_pngs_run_through_the_rows():
    found = align(LOG, 5, reel(numbers=[1, 2, 4, 5]), every(0.05, 5), None)
    np.testing.assert_array_equal(found.frames, [0, 1, 1, 2, 3])
    assert found.dropped == 1


@pytest.mark.parametrize(
    ("video", "rows", "moments", "named", "words"),
    [
        (reel(every(0.05, 10)), 21, every(0.05, 21), None, "front ends after 0.45 s, and run.csv after 1 s"),
        (reel([0.0]), 3, every(0.05, 3), None, "front ends after 0 s"),
        (reel(every(0.05, 30)), 21, None, None, "front has 30 frames, and run.csv has 21 rows: log the times"),
        (reel(numbers=range(30)), 21, every(0.05, 21), None, "30 frames, and run.csv has 21 rows: the names of PNGs"),
        (reel([0.0, 0.05, 0.05]), 2, every(0.05, 2), None, "time stamp at frame 2 that is not later"),
        (reel(every(0.05, 3)), 3, None, np.array([0.0, 1.0, 3.0]), "3 as the frame of row 3, .* numbers 0 to 2:"),
        (reel(every(0.05, 3)), 2, None, np.array([0.0, 0.5]), "0.5 as the frame of row 2"),
        (reel(every(0.05, 3)), 2, None, np.array([0.0, np.nan]), "nan as the frame of row 2"),
        (reel(numbers=[4, 6]), 2, None, np.array([4.0, 5.0]), "numbers 4 to 6, of which 1 are missing"),
        (reel(every(0.05, 3)), 3, None, np.array([0.0, 2.0, 1.0]), "goes back to an earlier frame at row 3"),
    ],
)
def test_what_cannot_be_aligned_is_refused(video, rows, moments, named, words):
    with pytest.raises(ValueError, match=words):
        align(LOG, rows, video, moments, named)
