import logging
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from envs.task import Scene
from envs.vision import camera
from experiments.pages import video
from experiments.records.episodes import EpisodeRecord

ROOM = Scene((-1.0, -0.5), (1.0, 0.5), ((0.0, 0.3, 0.1, 0.2),), 0.1)
ARM = Scene((-1.0, -1.0), (1.0, 1.0), (), 0.05, (0.0, 0.0))


def pixel(scene, size, position):
    """Row and column of a position in metres, by the framing that `draw` promises."""
    low, high = np.asarray(scene.low), np.asarray(scene.high)
    side = 1.08 * (high - low).max()
    x, y = (np.asarray(position) - (low + high) / 2) / side
    return int((0.5 - y) * size), int((0.5 + x) * size)


def record(success, states, goal, keypoints, goal_keypoints):
    return EpisodeRecord("model", success, keypoints, goal_keypoints, states, goal)


@pytest.fixture(scope="module")
def driven():
    """A few steps of the real task, as an evaluation would record them."""
    from envs import make

    task = make("two_room")
    rng = np.random.default_rng(0)
    start, goal = task.sample_state(rng), task.sample_goal(rng)
    actions = np.ones((1, 6, *task.action_space.shape), np.float32)
    states = np.concatenate([start[None], task.simulate(start[None], actions)[0]])
    return task, record(True, states, goal, task.keypoints(states), task.goal_keypoints(goal))


@pytest.mark.parametrize("shape", [(12, 64, 96), (7, 33, 51)])
def test_encoded_video_decodes_to_the_same_frames(tmp_path, shape):
    frames = np.full((*shape, 3), 255, np.uint8)
    for step in range(shape[0]):
        frames[step, :, : 2 * step] = 0
    (tmp_path / "video.mp4").write_bytes(video.encode(frames, fps=20))
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-i",
        tmp_path / "video.mp4",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    decoder = subprocess.run(command, capture_output=True, check=True)
    height, width = shape[1] + shape[1] % 2, shape[2] + shape[2] % 2
    report = decoder.stderr.decode()
    assert all(word in report for word in ("h264", "yuv420p", f"{width}x{height}", "20 fps")), report
    decoded = np.frombuffer(decoder.stdout, np.uint8).reshape(-1, height, width, 3)
    assert len(decoded) == shape[0]
    last = decoded[-1][: shape[1], : shape[2]].astype(int)
    assert np.abs(last - frames[-1]).mean() < 4


def test_encoded_video_can_start_before_it_is_whole():
    data = video.encode(np.zeros((3, 32, 32, 3), np.uint8), fps=10)
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        (np.zeros((3, 32, 32), np.uint8), 10, r"uint8 \[T, h, w, 3\].*\[3, 32, 32\]"),
        (np.zeros((3, 32, 32, 3)), 10, "float64"),
        (np.zeros((0, 32, 32, 3), np.uint8), 10, "not empty"),
        (np.zeros((3, 32, 32, 3), np.uint8), 0.0, "fps must be a positive number"),
    ],
)
def test_wrong_frames_are_refused_in_one_sentence(frames, fps, message):
    with pytest.raises(ValueError, match=message):
        video.encode(frames, fps)


def test_free_body_and_goal_are_drawn_where_they_are():
    keypoints = np.array([[[-0.7, 0.2]], [[-0.5, 0.2]], [[-0.5, -0.2]]])
    goal = np.array([[0.6, -0.3]])
    frames = video.draw(ROOM, keypoints, goal, size=200)
    assert frames.shape == (3, 200, 200, 3) and frames.dtype == np.uint8
    for frame, (position,) in zip(frames, keypoints, strict=True):
        assert tuple(frame[pixel(ROOM, 200, position)]) == video.BODY
    last = frames[-1]
    assert tuple(last[pixel(ROOM, 200, (-0.6, 0.2))]) == video.TRAIL
    assert tuple(frames[0][pixel(ROOM, 200, (-0.5, -0.2))]) == video.FLOOR
    assert tuple(last[pixel(ROOM, 200, (0.6 + 0.16, -0.3))]) == video.GOAL  # the ring, 1.6 radii out
    assert tuple(last[pixel(ROOM, 200, (0.6, -0.3))]) == video.FLOOR
    assert tuple(last[pixel(ROOM, 200, (0.0, 0.3))]) == video.WALL
    assert tuple(last[5, 100]) == video.BACKGROUND  # the scene is wider than high


def test_arm_is_drawn_from_its_root_to_its_tip():
    keypoints, goal = np.array([[[0.5, 0.0], [0.5, 0.5]]]), np.array([[-0.5, 0.0], [-0.5, -0.5]])
    (frame,) = video.draw(ARM, keypoints, goal, size=160)
    blue = np.asarray(video.BODY) * 0.75 + np.asarray(video.FLOOR) * 0.25
    for middle_of_link in [(0.25, 0.0), (0.5, 0.25)]:
        assert np.abs(frame[pixel(ARM, 160, middle_of_link)] - blue).max() <= 1
    assert tuple(frame[pixel(ARM, 160, (0.5, 0.5))]) == video.BODY
    assert tuple(frame[pixel(ARM, 160, (-0.5 + 0.08, -0.5))]) == video.GOAL
    assert tuple(frame[pixel(ARM, 160, (0.25, -0.5))]) == video.FLOOR


def test_drawing_is_antialiased():
    (frame,) = video.draw(ARM, np.array([[[0.3, 0.3]]]), np.array([[0.8, -0.8]]), size=120)
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 20


def test_tiles_end_together_with_a_border_that_tells_success():
    clips = [np.full((length, 40, 50, 3), 100 + length, np.uint8) for length in (2, 5, 3)]
    for clip in clips:
        clip += np.arange(len(clip), dtype=np.uint8)[:, None, None, None]
    frames = video.tile(clips, [True, False, True], columns=2, gap=4, hold=3)
    assert frames.shape == (8, 84, 104, 3)
    cells = [frames[:, :40, :50], frames[:, :40, 54:], frames[:, 44:, :50]]
    for cell, clip, success in zip(cells, clips, [True, False, True], strict=True):
        over = len(clip) - 1
        assert (cell[:over] == clip[:over]).all()
        assert (cell[:over, 20, 25] == clip[:over, 20, 25]).all() and (cell[over:, 20, 25] == clip[-1, 20, 25]).all()
        colour = video.REACHED if success else video.MISSED
        marked = (cell[over:] == colour).all(-1)
        assert marked.any(axis=(1, 2)).all()
        assert marked[:, 0].all() == success  # a failure's border is dashed, for eyes that cannot tell red from green
    assert (frames[:, 40:44] == video.GAP).all() and (frames[:, 44:, 54:] == video.GAP).all()


def test_tile_refuses_clips_that_do_not_fit():
    with pytest.raises(ValueError, match="one frame size"):
        video.tile([np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 9, 3), np.uint8)], [True, True])


def test_camera_photographs_what_was_executed(driven):
    if reason := camera.available():
        pytest.skip(reason)
    task, episode = driven
    (frames,), note = video.render_episodes("two_room", [episode], size=64)
    assert note.startswith("Rendered by MuJoCo")
    assert frames.shape == (7, 64, 64, 3) and frames.dtype == np.uint8
    assert frames[0].std() > 5
    assert (frames[0] != frames[-1]).any()


def test_without_a_camera_frames_are_drawn_and_the_note_says_why(driven, caplog):
    task, episode = driven
    broken = record(False, episode.states[:, :-1], episode.goal, episode.keypoints, episode.goal_keypoints)
    with caplog.at_level(logging.WARNING):
        (frames,), note = video.render_episodes("two_room", [broken], size=48)
    drawn = video.draw(task.scene(), episode.keypoints, episode.goal_keypoints, 48)
    assert (frames == drawn).all()
    assert note.startswith("Drawn in 2D") and "libegl1" in note and "jepa-mpc doctor" in note
    assert "no camera" in caplog.text


def test_film_survives_a_missing_encoder(driven, monkeypatch):
    _, episode = driven
    monkeypatch.setattr(video, "_photograph", lambda *_: [np.zeros((7, 32, 32, 3), np.uint8)])
    data, note = video.film("two_room", [episode], 0.05, size=32)
    assert data is not None and note.startswith("Rendered")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    data, note = video.film("two_room", [episode], 0.05, size=32)
    assert data is None and note.startswith("There is no video: the encoder failed") and "doctor" in note
    assert video.film("two_room", [], 0.05) == (None, "There is no video: no episode was recorded.")
