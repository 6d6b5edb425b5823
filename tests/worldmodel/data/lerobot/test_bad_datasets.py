"""What is wrong with a LeRobot dataset is one sentence."""

import json
import sys

import pytest

from worldmodel.data.dataset import load

from ..recorded import write


def feature(**changes):
    return lambda info: info["features"]["observation.state"].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codebase_version": "v2.1"}, r"is of LeRobot's version v2.1, .*convert_dataset_v21_to_v30"),
        ({"codebase_version": "v4.0"}, "has codebase_version 'v4.0', and v3 is read"),
        ({"codebase_version": None}, "has codebase_version None"),
        ({"fps": 0}, "fps must be a positive number; got 0"),
        ({"fps": "20"}, "fps must be a positive number; got '20'"),
        ({"features": {}}, "features must be an object by name"),
        ({"features": {"action": {"dtype": "float32"}}}, "the feature action needs a dtype and a shape"),
        ({"total_episodes": 4}, "lists 3 episodes, and .*info.json has 4"),
        ({"total_frames": 16}, "lists 17 frames, and .*info.json has 16 as total_frames"),
        ({"total_frames": None}, "total_frames must be a whole number; got None"),
        ({"data_path": "rows/{chunk}.parquet"}, "with other places than known ones"),
        ({"data_path": "../{chunk_index}.parquet"}, "leads out of"),
        ({"data_path": "/{chunk_index}.parquet"}, "leads out of"),
        ({"data_path": "rows/9{chunk_index}.parquet"}, r"there is no file .*rows.90.parquet"),
        ({"video_path": None}, "has the video observation.images.front and no video_path"),
        ({"video_path": "films/{file_index}.mp4"}, r"there is no file .*films.0.mp4, which has episode 0"),
        (feature(shape=[3]), "has 10 .*column observation.state, and meta/info.json says 3 a row"),
        (
            feature(dtype="string"),
            "has string of the shape .* as observation.state, and sensors are one list of numbers",
        ),
    ],
)
def test_a_description_that_cannot_be_used(tmp_path, change, words):
    change = change if callable(change) else (lambda info, fields=change: info.update(fields))
    with pytest.raises(ValueError, match=words):
        load(write(tmp_path / "d", change=change), picture_size=16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": 6}, r"has 1\.5.*|lists 18 frames"),
        ({"data/file_index": None}, "has no data/file_index for episode 0"),
        (
            {"videos/observation.images.front/to_timestamp": 0.35},
            r"has 0.350 s of .*episode 0, whose 5 rows take 0.250",
        ),
        (
            {
                "videos/observation.images.front/from_timestamp": 0.7,
                "videos/observation.images.front/to_timestamp": 0.95,
            },
            r"from 0.700 s on \(episode 0\), has 3 frames for the 5 rows .* none for row 4, at 0.850 s",
        ),
        (
            {
                "videos/observation.images.front/from_timestamp": 9.0,
                "videos/observation.images.front/to_timestamp": 9.25,
            },
            r"from 9.000 s on \(episode 0\), has no frame, and the episode has 5 rows",
        ),
    ],
)
def test_a_list_of_episodes_that_does_not_fit(tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        load(write(tmp_path / "d", rows_change=lambda rows: rows[0].update(change)), picture_size=16)


def test_rows_that_do_not_fit_the_list_of_episodes(tmp_path):
    def longer(rows):
        for row, by in zip(rows[:2], (1, -1), strict=True):
            row["length"] += by

    with pytest.raises(ValueError, match="has 5 rows of episode 0, and meta/episodes says 6"):
        load(write(tmp_path / "d", camera="", rows_change=longer))


@pytest.mark.parametrize("name", ["rows/00/07.parquet", "meta/episodes/chunk-000/file-000.parquet"])
def test_a_damaged_table(tmp_path, name):
    folder = write(tmp_path / "d")
    (folder / name).write_bytes((folder / name).read_bytes()[:300])
    with pytest.raises(ValueError, match=rf"{name} is damaged \(.*take an intact copy"):
        load(folder)


def test_a_damaged_picture_and_a_damaged_description(tmp_path):
    folder = write(tmp_path / "d", camera="image")
    path = folder / "rows/00/07.parquet"
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    for content, words in ((b"\x89PNG", "episode 0 in .* is damaged in row 1"), (None, "has no picture in row 1")):
        cells = table.column("observation.images.front").to_pylist()
        cells[0]["bytes"] = content
        index = table.schema.get_field_index("observation.images.front")
        pq.write_table(table.set_column(index, "observation.images.front", pa.array(cells)), path)
        with pytest.raises(ValueError, match=words):
            load(folder, picture_size=16)
    (folder / "meta/info.json").write_text("{")
    with pytest.raises(ValueError, match="info.json is not JSON"):
        load(folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[", "is not JSON"),
        ("[]", "must be an object"),
        ({"control_period": 0.1}, "has the field control_period: beside a LeRobot dataset it may have task"),
        ({"sensors": "observation.state"}, "sensors must be a list of strings"),
        (
            {"sensors": ["speed"]},
            "has 'speed' among its sensors, and .* has only observation.state, observation.effort",
        ),
        ({"cameras": ["side"]}, "has 'side' among its cameras, and .* has only observation.images.front"),
        ({"cameras": ["observation.state"]}, "cameras are a camera of colours"),
        ({"action_low": [-1, -1]}, "action_low and action_high must be 2 finite numbers each|lists of numbers"),
        ({"action_low": [1, 1], "action_high": [0, 0]}, "2 finite numbers each, in this order"),
        ({"sensor_units": ["m"]}, "sensor_units has 1 words for 2 numbers"),
        ({"sensors": [], "cameras": []}, "has no observation of numbers and no camera"),
        ({"action_low": [-0.1, -0.1], "action_high": [0.1, 0.1]}, r"episode 0 of .*07.parquet: the action at step"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, settings, words):
    folder = write(tmp_path / "d")
    (folder / "dataset.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    with pytest.raises(ValueError, match=words):
        load(folder)


def test_without_the_extra(tmp_path, monkeypatch):
    folder = write(tmp_path / "d")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ImportError, match=r"is a LeRobot dataset, which needs pyarrow: pip install 'jepa-mpc\[lerobot\]'"
    ):
        load(folder)


def test_rewards_are_not_read(tmp_path):
    with pytest.raises(ValueError, match="have no rewards"):
        load(write(tmp_path / "d"), rewards=True)
