"""Logs, Minari and LeRobot datasets as new LeRobot datasets."""

import json

import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from worldmodel.data.dataset import load
from worldmodel.data.lerobot import convert
from worldmodel.data.lerobot.convert import to_lerobot
from worldmodel.data.lerobot.read import lerobot_logs
from worldmodel.data.video.reel import read_frames

from ..filming import describe, scene, shown, write_log, write_pngs, write_video
from ..recorded import LENGTHS, write

STEPS = (4, 6)
TASK = {"task": "rooms", "control_period": 0.1, "sensors": ["a", "b", "c"], "sensor_units": ["m", "m", "rad"]}


def simulated(folder, present=1):
    """A Minari dataset of two vectors, a camera and simulator states."""
    folder.mkdir()
    boxes = {
        "arm": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "hand": spaces.Box(-np.inf, np.inf, (1,), np.float32),
        "hand_present": spaces.Box(0, 1, (1,), np.uint8),
        "pixels": spaces.Box(0, 255, (16, 16, 3), np.uint8),
    }
    space = spaces.Box(-2.0, 2.0, (2,), np.float32)
    storage = MinariStorage.new(folder, spaces.Dict(boxes), space, data_format="hdf5", jpeg_encoding=False)
    storage.update_metadata({"dataset_id": "t-v0", "minari_version": minari.__version__, "task": json.dumps(TASK)})
    rng = np.random.default_rng(0)
    storage.update_episodes(
        EpisodeBuffer(
            observations={
                "arm": rng.normal(size=(steps + 1, 2)).astype(np.float32),
                "hand": rng.normal(size=(steps + 1, 1)).astype(np.float32),
                "hand_present": np.full((steps + 1, 1), present, np.uint8),
                "pixels": rng.integers(0, 256, (steps + 1, 16, 16, 3), dtype=np.uint8),
            },
            actions=rng.uniform(-2, 2, (steps, 2)).astype(np.float32),
            rewards=np.zeros(steps),
            terminations=np.zeros(steps, bool),
            truncations=np.arange(steps) == steps - 1,
            infos={"state": rng.normal(size=(steps + 1, 5))},
        )
        for steps in STEPS
    )
    return folder


def test_simulated_data_come_back(tmp_path):
    before = load(simulated(tmp_path / "d"))
    made = to_lerobot(tmp_path / "d", tmp_path / "out", instruction="go home", lossless=True)
    assert (made.episodes, made.rows, made.fps) == (2, 12, 10)
    after = load(tmp_path / "out", picture_size=16)
    np.testing.assert_array_equal(after.readings["pixels"], before.readings["pixels"])
    np.testing.assert_array_equal(after.readings["state"], np.hstack([before.readings["arm"], before.readings["hand"]]))
    np.testing.assert_array_equal(after.actions, before.actions)
    np.testing.assert_array_equal(after.states, before.states.astype(np.float32))
    np.testing.assert_array_equal([after.action_low, after.action_high], [[-2, -2], [2, 2]])
    described = json.loads(after.metadata["task"])
    assert {key: described[key] for key in TASK} == TASK
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "out/data/chunk-000/file-000.parquet")
    actions = np.array(rows.column("action").to_pylist(), np.float32)
    np.testing.assert_array_equal(actions[[4, 11]], actions[[3, 10]])  # the last one, which was never taken
    np.testing.assert_array_equal(np.array(rows.column("positions").to_pylist()), before.states)
    assert pq.read_table(tmp_path / "out/meta/tasks.parquet").column("task").to_pylist() == ["go home"]


def logs(folder):
    describe(folder, sensors=["x"], sensor_units=["m"], task="cart")
    for name, first in (("a", 0), ("b", 6)):
        write_log(folder / name / "log.csv", 8)
        frames = [scene(first + row) for row in range(8)]
        write_video(folder / name / "front.mp4", frames) if name == "a" else write_pngs(folder / name / "front", frames)
    return folder


@pytest.mark.parametrize("lossless", [False, True])
def test_logs_with_videos_keep_their_full_frames(tmp_path, lossless):
    before = load(logs(tmp_path / "d"), picture_size=16)
    to_lerobot(tmp_path / "d", tmp_path / "out", lossless=lossless)
    after = load(tmp_path / "out", picture_size=16)
    assert shown(after.readings["pixels"]) == shown(before.readings["pixels"]) == [*range(8), *range(6, 14)]
    np.testing.assert_array_equal(after.readings["state"], before.readings["state"])
    np.testing.assert_array_equal(after.actions, before.actions)
    known = ("task", "control_period", "action_low", "action_high", "sensors", "sensor_units", "actuators", "cameras")
    first, second = (json.loads(each.metadata["task"]) for each in (before, after))
    assert {name: first[name] for name in known} == {name: second[name] for name in known}
    if lossless:
        videos = [each.path.videos["front"] for each in lerobot_logs(tmp_path / "out").recordings]
        pngs = [frame for _, frame in read_frames(videos[1])]
        np.testing.assert_array_equal(pngs, [scene(number) for number in range(6, 14)])


def test_a_gap_in_a_log_becomes_two_episodes_with_their_frames(tmp_path):
    folder = logs(tmp_path / "d")
    lines = (folder / "a/log.csv").read_text().splitlines()
    (folder / "a/log.csv").write_text("\n".join([*lines[:4], *lines[6:]]))
    assert to_lerobot(folder, tmp_path / "out").episodes == 3
    assert shown(load(tmp_path / "out", picture_size=16).readings["pixels"]) == [0, 1, 2, 5, 6, 7, *range(6, 14)]


def test_episodes_of_one_video_decode_it_once(tmp_path, monkeypatch):
    folder, decoded = logs(tmp_path / "d"), []
    lines = (folder / "a/log.csv").read_text().splitlines()
    (folder / "a/log.csv").write_text("\n".join([*lines[:4], *lines[6:]]))
    frames_of = convert.read_frames

    def counted(path):
        for each in frames_of(path):
            decoded.append(path.name)
            yield each

    monkeypatch.setattr(convert, "read_frames", counted)
    assert to_lerobot(folder, tmp_path / "out").episodes == 3
    assert decoded.count("front.mp4") == 8


def test_a_lerobot_dataset_is_written_anew(tmp_path):
    before = load(write(tmp_path / "d"), picture_size=16)
    told = []
    to_lerobot(tmp_path / "d", tmp_path / "out", on_progress=lambda *each: told.append(each))
    after = load(tmp_path / "out", picture_size=16)
    assert shown(after.readings["pixels"]) == shown(before.readings["pixels"])
    np.testing.assert_array_equal(after.readings["state"], before.readings["state"])
    np.testing.assert_array_equal(after.actions, before.actions)
    assert told == [(1, 3), (2, 3), (3, 3)] and after.rows == sum(LENGTHS)


def test_what_has_no_place_in_the_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the sensor hand of .* is missing at 12 moments, and LeRobot has no missing"):
        to_lerobot(simulated(tmp_path / "d", present=0), tmp_path / "out")
    folder = logs(tmp_path / "logs")
    lines = (folder / "a/log.csv").read_text().splitlines()
    (folder / "a/log.csv").write_text("\n".join(line.replace(",0.5", ",") for line in lines))
    with pytest.raises(ValueError, match="has no action at a step of a/log.csv, and LeRobot needs each"):
        to_lerobot(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileExistsError, match="another folder with out="):
        to_lerobot(folder, tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no dataset at"):
        to_lerobot(tmp_path / "nothing", tmp_path / "out")


def test_a_period_is_needed(tmp_path):
    folder = simulated(tmp_path / "d")
    meta = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({key: meta[key] for key in meta if key != "task"}))
    with pytest.raises(ValueError, match="add control_period=SECONDS"):
        to_lerobot(folder, tmp_path / "out")
    made = to_lerobot(folder, tmp_path / "out", control_period=0.05, lossless=True)
    assert made.fps == 20 and load(tmp_path / "out", picture_size=16).rows == 12
