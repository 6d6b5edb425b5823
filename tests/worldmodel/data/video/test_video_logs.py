"""Folders of logs with real videos and PNGs, read as a dataset."""

import logging
import os
import subprocess
import sys
import time
import tracemalloc

import imageio_ffmpeg
import numpy as np
import pytest

from worldmodel.data.dataset import load
from worldmodel.data.video import recorded_pictures
from worldmodel.data.video.reel import decode
from worldmodel.data.video.video_file import read_video

from ..filming import PERIOD, describe, scene, shown, write_log, write_pngs, write_video

ROWS = 12
FRAMES = [scene(number) for number in range(ROWS)]


def read(folder, size=16):
    return load(folder, picture_size=size)


def episode(folder, name="episode_000", rows=ROWS, frames=FRAMES, **video):
    write_log(folder / name / "log.csv", rows)
    write_video(folder / name / "front.mp4", frames, **video)
    return folder / name


def test_a_folder_an_episode_with_a_video(tmp_path):
    describe(tmp_path)
    for name in ("episode_000", "episode_001"):
        episode(tmp_path, name)
    data = read(tmp_path)
    assert [(each.name, each.shape, each.optional) for each in data.spec.sensors] == [
        ("pixels", (16, 16, 3), True),
        ("state", (1,), True),
    ]
    assert data.episodes == 2 and data.steps == 2 * (ROWS - 1)
    assert data.names == ("episode_000/log.csv", "episode_001/log.csv")
    assert shown(data.readings["pixels"]) == 2 * list(range(ROWS))
    np.testing.assert_array_equal(data.readings["state"][:, 0], 2 * list(range(ROWS)))
    assert data.readings["pixels_present"].all() and isinstance(data.readings["pixels"], np.memmap)
    assert '"cameras": {"pixels": {"camera": "front", "width": 48, "height": 32, "size": 16}}' in data.metadata["task"]


def test_videos_and_pngs_beside_the_logs(tmp_path):
    describe(tmp_path)
    for name in ("a", "b", "c", "d"):
        write_log(tmp_path / f"{name}.csv", ROWS)
    write_video(tmp_path / "a.mp4", FRAMES)
    write_video(tmp_path / "b_front.mkv", FRAMES)
    write_pngs(tmp_path / "c", FRAMES)
    write_pngs(tmp_path / "d_front", FRAMES, first=1)
    pictures = read(tmp_path).readings["pixels"]
    assert shown(pictures) == 4 * list(range(ROWS))
    np.testing.assert_array_equal(pictures[2 * ROWS : 3 * ROWS], pictures[3 * ROWS :])


def test_several_cameras_and_no_other_sensor(tmp_path):
    describe(tmp_path, cameras=["front", "side"], sensors=[])
    folder = episode(tmp_path)
    write_pngs(folder / "side", [scene(number + 3, 64, 64) for number in range(ROWS)])
    data = read(tmp_path)
    assert [each.name for each in data.spec.sensors] == ["pixels", "pixels_side"]
    assert shown(data.readings["pixels"]) == list(range(ROWS))
    assert shown(data.readings["pixels_side"]) == list(range(3, ROWS + 3))
    alone = data.with_sensors(["pixels_side"])
    assert list(alone.readings) == ["pixels_side"] and not alone.spec.sensors[0].optional


@pytest.mark.parametrize(("name", "codec"), [("front.avi", "mpeg4"), ("front.webm", "libvpx")])
def test_any_codec(tmp_path, name, codec):
    describe(tmp_path)
    write_log(tmp_path / "episode" / "log.csv", ROWS)
    frames = [scene(number, 64, 64) for number in range(0, 2 * ROWS, 2)]
    write_video(tmp_path / "episode" / name, frames, codec=codec)
    assert (np.diff(shown(read(tmp_path).readings["pixels"])) > 0).all()


def test_a_video_that_is_stored_turned_is_refused(tmp_path):
    describe(tmp_path)
    video = episode(tmp_path) / "front.mp4"
    turned = tmp_path / "turned.mp4"
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-display_rotation", "90", "-i", str(video), "-c", "copy", str(turned)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    turned.replace(video)
    with pytest.raises(ValueError, match="front.mp4 is stored turned by -?90 degrees"):
        read(tmp_path)


def test_a_video_of_another_rate_goes_by_its_time_stamps(tmp_path):
    describe(tmp_path)
    episode(tmp_path, frames=[scene(number) for number in range(25)], rate=40)
    assert shown(read(tmp_path).readings["pixels"]) == list(range(0, 24, 2))


def test_frames_by_their_number_in_csv_and_npz(tmp_path):
    describe(tmp_path)
    numbers = [0, 2, 4, 4, 5]
    write_log(tmp_path / "a.csv", 5, times=False, frames=numbers)
    np.savez(tmp_path / "b.npz", observations=np.ones((5, 1)), actions=np.full((4, 1), 0.5), frame_front=numbers)
    write_video(tmp_path / "a.mp4", FRAMES)
    write_pngs(tmp_path / "b", FRAMES)
    assert shown(read(tmp_path).readings["pixels"]) == 2 * numbers


def test_a_gap_in_the_log_cuts_the_video_as_well(tmp_path):
    describe(tmp_path)
    folder = episode(tmp_path)
    lines = (folder / "log.csv").read_text().splitlines()
    (folder / "log.csv").write_text("\n".join([*lines[:5], *lines[8:]]))
    data = read(tmp_path)
    assert data.episodes == 2 and shown(data.readings["pixels"]) == [0, 1, 2, 3, 7, 8, 9, 10, 11]


def test_pictures_are_decoded_once_and_again_after_a_change(tmp_path, monkeypatch):
    describe(tmp_path)
    folder = episode(tmp_path)
    write_pngs(tmp_path / "run", FRAMES)
    write_log(tmp_path / "run.csv", ROWS)
    decoded = []
    monkeypatch.setattr(
        recorded_pictures, "decode", lambda path, *rest: decoded.append(path.name) or decode(path, *rest)
    )
    first = np.array(read(tmp_path).readings["pixels"])
    np.testing.assert_array_equal(read(tmp_path).readings["pixels"], first)
    assert decoded == ["front.mp4", "run"]
    assert sorted(each.name for each in (tmp_path / "frames-16").iterdir()) == ["key.json", "pixels", "shape.json"]

    write_video(folder / "front.mp4", FRAMES[::-1])
    assert shown(read(tmp_path).readings["pixels"])[:ROWS] == list(range(ROWS))[::-1]
    os.utime(tmp_path / "run" / "000003.png", ns=(1, 1))
    os.utime(folder / "log.csv", ns=(1, 1))
    read(tmp_path)
    assert len(decoded) == 6
    assert read(tmp_path, size=8).readings["pixels"].shape == (2 * ROWS, 8, 8, 3)
    read(tmp_path)
    assert len(decoded) == 8, "each size has a cache of its own"


def test_an_interrupted_cache_is_made_again(tmp_path, monkeypatch):
    describe(tmp_path)
    episode(tmp_path, "a")
    episode(tmp_path, "b")

    def interrupted(path, *rest):
        if path.parent.name == "b":
            raise KeyboardInterrupt
        return decode(path, *rest)

    monkeypatch.setattr(recorded_pictures, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b", "dataset.json"]
    monkeypatch.undo()
    # What processes leave behind that are killed: one long ago, and one that may still be alive.
    for name, ago in ((".frames-16.killed", 7200), (".frames-16.alive", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pixels").write_bytes(b"half")
        for path in (tmp_path / name / "pixels", tmp_path / name):
            os.utime(path, (time.time() - ago,) * 2)
    assert shown(read(tmp_path).readings["pixels"]) == 2 * list(range(ROWS))
    left = sorted(each.name for each in tmp_path.iterdir())
    assert left == [".frames-16.alive", "a", "b", "dataset.json", "frames-16"]


def test_a_folder_of_the_users_is_not_replaced_by_the_cache(tmp_path):
    describe(tmp_path)
    episode(tmp_path)
    (tmp_path / "frames-16").mkdir()
    (tmp_path / "frames-16" / "mine.png").write_bytes(b"precious")
    with pytest.raises(ValueError, match="frames-16 is in the way of a cache"):
        read(tmp_path)
    assert (tmp_path / "frames-16" / "mine.png").read_bytes() == b"precious"


def test_a_video_is_never_in_memory_as_a_whole(tmp_path, monkeypatch):
    # FFmpeg's own memory is not traced, that of copies is.
    copies = ((stamp, np.array(frame)) for stamp, frame in read_video(tmp_path / "long.mp4"))
    monkeypatch.setattr("worldmodel.data.video.reel.read_video", lambda path: copies)
    frames = [scene(number, 200, 150) for number in range(60)]
    write_video(tmp_path / "long.mp4", frames)
    raw = sum(frame.nbytes for frame in frames)
    del frames
    tracemalloc.start()
    reel = decode(tmp_path / "long.mp4", 16, tmp_path / "scratch")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(reel.pictures) == 60 and peak < raw / 4


def test_dropped_and_repeated_frames_are_said_each_time(tmp_path, caplog):
    describe(tmp_path)
    episode(tmp_path, "dropped", frames=[*FRAMES[:6], *FRAMES[7:]], stamps=[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11])
    episode(tmp_path, "hung", frames=[*FRAMES[:3], *3 * [FRAMES[3]], *FRAMES[6:]])
    episode(tmp_path, "dark", frames=[*FRAMES[:6], np.zeros_like(FRAMES[0]), *FRAMES[7:]])
    with caplog.at_level(logging.WARNING):
        pictures = read(tmp_path).readings["pixels"]
        first = [line for line in caplog.messages]
        read(tmp_path)
    assert shown(pictures[ROWS : 2 * ROWS])[6] == 5, "an older frame stands for the one that was dropped"
    assert [line.partition("front.mp4 ")[2] for line in first] == [
        "shows one colour in 1 picture of 12",
        "lacks 1 frame of 12, in whose place older ones are taken",
        "repeats the frame before in 2 of 11 steps with an action",
    ]
    assert caplog.messages == 2 * first


def test_videos_without_cameras_are_pointed_out(tmp_path, caplog):
    describe(tmp_path, cameras=[])
    write_log(tmp_path / "a.csv", ROWS)
    write_video(tmp_path / "a.mp4", FRAMES)
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path).spec.is_vectors
    assert 'a.mp4, which are not read: add "cameras": ["front"]' in caplog.text


def png(folder, mode="RGB", **save):
    from PIL import Image

    write_pngs(folder, FRAMES)
    Image.fromarray(FRAMES[4]).convert(mode).save(folder / "000004.png", **save)


def sixteen_bits(folder):
    from PIL import Image

    write_pngs(folder, FRAMES)
    Image.fromarray(FRAMES[4][..., 0].astype(np.uint16) * 257).save(folder / "000004.png")


def other_size(folder):
    write_pngs(folder, [*FRAMES[:-1], scene(0, 40, 32)])


def not_a_png(folder):
    write_pngs(folder, FRAMES)
    (folder / "000004.png").write_bytes(b"GIF89a" * 20)


def half_a_png(folder):
    write_pngs(folder, FRAMES)
    content = (folder / "000004.png").read_bytes()
    (folder / "000004.png").write_bytes(content[: len(content) // 2])


def others(folder, name):
    write_pngs(folder, FRAMES)
    (folder / "000004.png").rename(folder / name)


PNGS = {
    "16 bits": (sixteen_bits, "000004.png has 16 bits a channel, and pictures have 8: convert"),
    "alpha": (lambda folder: png(folder, "RGBA"), "000004.png has transparent pixels"),
    "transparent colour": (lambda folder: png(folder, "P", transparency=0), "000004.png has transparent pixels"),
    "sizes": (other_size, "48 × 32 pixels and, from its frame 11 on, of 40 × 32"),
    "gif": (not_a_png, "000004.png is empty or no PNG inside"),
    "half": (half_a_png, "000004.png is damaged"),
    "jpg": (lambda folder: others(folder, "000004.jpg"), "000004.jpg is no PNG"),
    "no number": (lambda folder: others(folder, "four.png"), "four.png has no number"),
    "one number": (lambda folder: others(folder, "3.png"), "3.png and 000003.png have one number|have one number"),
    "none": (lambda folder: folder.mkdir(parents=True), "holds no PNG"),
    "small": (
        lambda folder: write_pngs(folder, [scene(k, 12, 20) for k in range(ROWS)]),
        "observation.size=12 or less",
    ),
}


@pytest.mark.parametrize("case", PNGS)
def test_pngs_that_cannot_be_used_are_refused(tmp_path, case):
    make, words = PNGS[case]
    describe(tmp_path)
    write_log(tmp_path / "run.csv", ROWS)
    make(tmp_path / "run")
    with pytest.raises(ValueError, match=words):
        read(tmp_path)
    assert not list(tmp_path.glob("*frames*"))


def test_grey_and_palette_pngs_are_pictures(tmp_path):
    describe(tmp_path)
    write_log(tmp_path / "run.csv", ROWS)
    png(tmp_path / "run", "L")
    assert shown(read(tmp_path).readings["pixels"]) == list(range(ROWS))


def test_videos_that_cannot_be_used_are_refused(tmp_path):
    describe(tmp_path)
    folder = episode(tmp_path)
    video = folder / "front.mp4"
    whole = video.read_bytes()

    def refused(words):
        with pytest.raises(ValueError, match=words):
            read(tmp_path)

    video.write_bytes(b"")
    refused(r"front.mp4 is an empty file: take an intact copy")
    video.write_bytes(whole[: len(whole) // 2])
    refused("front.mp4 is damaged")
    middle = whole.index(b"mdat") + len(whole) // 4
    video.write_bytes(whole[:middle] + bytes(400) + whole[middle + 400 :])
    refused("front.mp4 is damaged")
    video.write_text("not a video")
    refused("front.mp4 is damaged")
    write_video(video, FRAMES[:8])
    refused("front.mp4 ends after 0.35 s, and log.csv after 0.55 s")
    write_video(video, ROWS * [np.zeros_like(FRAMES[0])])
    refused("front.mp4 shows one colour in all of its pictures")
    write_video(video, [*FRAMES[:4], *8 * [FRAMES[4]]])
    refused("repeats the frame before in 7 of 11 steps")
    write_video(video, [*FRAMES[:3], *FRAMES[6:]], stamps=[0, 1, 2, 6, 7, 8, 9, 10, 11])
    refused("lacks 3 of 12 frames")
    write_log(folder / "log.csv", ROWS, times=False)
    refused("front.mp4 has 9 frames, and log.csv has 12 rows")
    video.unlink()
    refused("no video of the camera front: expected front.mp4 or a folder front/ of PNGs")
    write_video(video, FRAMES)
    write_pngs(folder / "front", FRAMES)
    refused("two videos of the camera front, front.mp4 and front")
    (folder / "front").rename(folder / "unused")
    write_log(folder / "other.csv", ROWS)
    refused("episode_000 holds 2 logs, log.csv and other.csv")
    (folder / "other.csv").unlink()
    write_log(tmp_path / "z" / "log.csv", ROWS)
    write_video(tmp_path / "z" / "front.mp4", [scene(number, 64, 32) for number in range(ROWS)])
    refused("64 × 32 pixels, and .*front.mp4 of 48 × 32: a camera needs one resolution")


def test_a_damaged_frame_that_decoders_conceal_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(ROWS)]
    video = tmp_path / "front.mp4"
    write_video(video, noisy)
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = rng.bytes(20)
    video.write_bytes(content)
    with pytest.raises(ValueError, match="front.mp4 is damaged at frame"):
        decode(video, 16, tmp_path / "scratch")


def test_a_still_camera_beside_a_robot_at_rest_is_no_fault(tmp_path, caplog):
    describe(tmp_path)
    folder = episode(tmp_path, frames=[*5 * [FRAMES[4]], *FRAMES[5:]])
    rest = [f"{row * PERIOD:.2f},{row},{0 if row < 4 else 0.5}" for row in range(ROWS - 1)]
    (folder / "log.csv").write_text("\n".join(["time,x,u", *rest, f"{(ROWS - 1) * PERIOD:.2f},11,"]))
    read(tmp_path)
    assert not caplog.messages


def test_a_video_without_its_decoder_says_what_to_install(tmp_path, monkeypatch):
    describe(tmp_path)
    episode(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="needs PyAV to be read: pip install av"):
        read(tmp_path)


@pytest.mark.parametrize("cameras", [["front", "front"], ["my camera"], "front", [3]])
def test_cameras_must_be_names(tmp_path, cameras):
    describe(tmp_path, cameras=cameras)
    with pytest.raises(ValueError, match="cameras must be"):
        read(tmp_path)
