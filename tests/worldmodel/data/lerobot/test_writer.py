"""LeRobot datasets that are written here: read back bit for bit, by pyarrow, by PyAV and by the reader."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldmodel.data.dataset import load
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.read import lerobot_logs
from worldmodel.data.lerobot.writer import Column, LeRobotWriter
from worldmodel.data.video.reel import read_frames

from ..filming import scene

ACTION, STATE = layout.ACTION, layout.STATE
CAMERAS = ("observation.images.front", "observation.images.side")
ROWS = {"observation.state": Column("float32", 3, ("x", "y", "z")), "action": Column("float32", 2)}


def numbers(rows, size, seed):
    return np.random.default_rng([rows, size, seed]).normal(size=(rows, size)).astype(np.float32)


def write(folder, lengths, cameras=(), lossless=False, fps=20.0, tasks=("push",)):
    with LeRobotWriter(folder, fps, ROWS, cameras, lossless) as writer:
        for number, rows in enumerate(lengths):
            columns = {key: numbers(rows, each.size, number) for key, each in ROWS.items()}
            writer.add(tasks[number % len(tasks)], columns, {key: film(key, number, rows) for key in cameras})
    return folder


def film(key, number, rows):
    width = 48 if key == CAMERAS[0] else 32
    return (scene(4 * number + row, width) for row in range(rows))


def column(folder, name):
    files = sorted(folder.glob("data/*/*.parquet"))
    return np.array([cell for file in files for cell in pq.read_table(file).column(name).to_pylist()])


@settings(max_examples=12)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6).filter(lambda lengths: max(lengths) > 1), st.booleans())
def test_columns_are_read_back_bit_for_bit(lengths, split):
    with TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "DATA_MEGABYTES", 0 if split else 100)
        folder = write(Path(home) / "d", lengths)
        assert len([*folder.glob("data/*/*.parquet")]) == (len(lengths) if split else 1)
        wanted = {key: [numbers(rows, each.size, n) for n, rows in enumerate(lengths)] for key, each in ROWS.items()}
        for key in ROWS:
            np.testing.assert_array_equal(column(folder, key).astype(np.float32), np.concatenate(wanted[key]))
        episodes = [*enumerate(lengths)]
        np.testing.assert_array_equal(column(folder, "episode_index"), [n for n, rows in episodes for _ in range(rows)])
        np.testing.assert_array_equal(
            column(folder, "frame_index"), [row for _, rows in episodes for row in range(rows)]
        )
        np.testing.assert_array_equal(column(folder, "index"), np.arange(sum(lengths)))
        times = np.array([row / 20 for _, rows in episodes for row in range(rows)])
        np.testing.assert_array_equal(column(folder, "timestamp").astype(np.float32), times.astype(np.float32))
        data, kept = load(folder), [n for n, rows in episodes if rows > 1]
        assert data.names == tuple(f"episode {n}" for n in kept)
        np.testing.assert_array_equal(data.readings["state"], np.concatenate([wanted[STATE][n] for n in kept]))
        for place, n in enumerate(kept):
            np.testing.assert_array_equal(data.actions[data.of_episode(place)][:-1], wanted[ACTION][n][:-1])


def test_the_files_are_those_of_the_format(tmp_path):
    folder = write(tmp_path / "d", (4, 6), CAMERAS, tasks=("push", "pull"))
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert names == [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "videos/observation.images.front/chunk-000/file-000.mp4",
        "videos/observation.images.side/chunk-000/file-000.mp4",
    ]
    info = json.loads((folder / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], type(info["fps"])) == ("v3.0", 20, int)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 10, 2)
    assert info["splits"] == {"train": "0:2"} and info["chunks_size"] == 1000
    assert info["features"]["action"] == {"dtype": "float32", "shape": [2], "names": None}
    front = info["features"][CAMERAS[0]]
    assert (front["dtype"], front["shape"]) == ("video", [32, 48, 3])
    assert front["info"]["video.codec"] == "h264" and front["info"]["video.pix_fmt"] == "yuv420p"
    schema = pq.read_schema(folder / names[0])
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert kinds == {
        "observation.state": "fixed_size_list<element: float>[3]",
        "action": "fixed_size_list<element: float>[2]",
        "timestamp": "float",
        **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64"),
    }
    tasks = pq.read_table(folder / "meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0, 1], "task": ["push", "pull"]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    first, second = pq.read_table(folder / names[1]).to_pylist()
    assert (first["tasks"], second["tasks"], second["length"]) == (["push"], ["pull"], 6)
    assert (second["dataset_from_index"], second["dataset_to_index"]) == (4, 10)
    assert second["data/chunk_index"] == second["data/file_index"] == second["meta/episodes/file_index"] == 0
    place = [second[f"videos/{CAMERAS[0]}/{name}"] for name in ("from_timestamp", "to_timestamp")]
    assert place == [0.2, 0.5]
    np.testing.assert_allclose(second["stats/action/mean"], numbers(6, 2, 1).mean(axis=0), rtol=1e-5)
    assert second["stats/action/count"] == [6] and np.shape(second[f"stats/{CAMERAS[0]}/q99"]) == (3, 1, 1)
    total = json.loads((folder / "meta/stats.json").read_text())
    both = np.concatenate([numbers(4, 2, 0), numbers(6, 2, 1)])
    np.testing.assert_allclose(total["action"]["std"], both.std(axis=0), rtol=1e-5)
    assert set(total) == {*info["features"]} and total["action"]["count"] == [10]
    assert 0 <= np.min(total[CAMERAS[0]]["min"]) <= np.max(total[CAMERAS[0]]["max"]) <= 1


def test_videos_hold_what_pyav_reads_at_each_row(tmp_path, monkeypatch):
    """Two cameras, of several episodes a file and of one; chunks of two files."""
    lengths = (4, 7, 5)
    monkeypatch.setattr("worldmodel.data.lerobot.track.FILES_PER_CHUNK", 2)
    for megabytes in (200, 0):
        monkeypatch.setattr("worldmodel.data.lerobot.track.VIDEO_MEGABYTES", megabytes)
        folder = write(tmp_path / f"d{megabytes}", lengths, CAMERAS)
        files = sorted(folder.glob(f"videos/{CAMERAS[1]}/*/*.mp4"))
        assert [file.parent.name for file in files] == (
            ["chunk-000"] if megabytes else ["chunk-000"] * 2 + ["chunk-001"]
        )
        recordings = lerobot_logs(folder).recordings
        for key in CAMERAS:
            plain = []
            for file in sorted(folder.glob(f"videos/{key}/*/*.mp4")):
                with av.open(str(file)) as container:
                    frames = [*container.decode(video=0)]
                assert [frame.time for frame in frames] == [number / 20 for number in range(len(frames))]
                plain += [frame.to_ndarray(format="rgb24") for frame in frames]
            camera = key.rpartition(".")[2]
            ours = [[frame for _, frame in read_frames(each.path.videos[camera])] for each in recordings]
            assert [len(each) for each in ours] == list(lengths)
            np.testing.assert_array_equal(np.concatenate(ours), plain)
            wanted = np.concatenate([[*film(key, number, rows)] for number, rows in enumerate(lengths)])
            assert np.abs(np.median(np.int32(plain) - wanted, axis=(1, 2, 3))).max() <= 2  # lossy, and in order


def test_pictures_in_rows_are_bit_for_bit(tmp_path):
    folder = write(tmp_path / "d", (3, 5), CAMERAS, lossless=True)
    assert not (folder / "videos").exists()
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["video_path"] is None and info["features"][CAMERAS[0]]["dtype"] == "image"
    for key in CAMERAS:
        parts = [each.path.videos[key.rpartition(".")[2]] for each in lerobot_logs(folder).recordings]
        for number, (part, rows) in enumerate(zip(parts, (3, 5), strict=True)):
            np.testing.assert_array_equal([frame for _, frame in read_frames(part)], [*film(key, number, rows)])


def test_a_rate_that_is_no_whole_number(tmp_path):
    folder = write(tmp_path / "d", (9, 9), CAMERAS[:1], fps=1 / 0.03)
    assert json.loads((folder / "meta/info.json").read_text())["fps"] == 1 / 0.03
    data = load(folder, picture_size=16)
    assert data.rows == 18 and json.loads(data.metadata["task"])["control_period"] == pytest.approx(0.03)


def few_frames(writer):
    writer.add("push", {key: numbers(3, each.size, 0) for key, each in ROWS.items()}, {CAMERAS[0]: [scene(0)]})


def odd_frames(writer):
    shown = {CAMERAS[0]: [scene(0, 33, 33)] * 3}
    writer.add("push", {key: numbers(3, each.size, 0) for key, each in ROWS.items()}, shown)


def two_sizes(writer):
    shown = {CAMERAS[0]: [scene(0), scene(1, 64), scene(2)]}
    writer.add("push", {key: numbers(3, each.size, 0) for key, each in ROWS.items()}, shown)


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (few_frames, "front has 1 frames in episode 0 of 3 rows"),
        (odd_frames, "frames of 33 × 33 pixels, and videos need even numbers: add lossless=true"),
        (two_sizes, "one size is needed"),
        (lambda writer: None, "needs at least one episode"),
    ],
)
def test_after_an_error_nothing_is_there(tmp_path, add, words):
    with pytest.raises(ValueError, match=words), LeRobotWriter(tmp_path / "d", 20.0, ROWS, CAMERAS[:1]) as writer:
        add(writer)
    assert [*tmp_path.iterdir()] == []


def test_an_existing_folder_is_refused(tmp_path):
    with pytest.raises(FileExistsError, match="something at"):
        write(tmp_path, (2,))
