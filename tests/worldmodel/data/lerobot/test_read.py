"""LeRobot datasets that another program wrote."""

import json

import jax
import numpy as np
import pytest

from worldmodel.data.dataset import load
from worldmodel.data.lerobot.read import lerobot_logs
from worldmodel.data.video.reel import read_frames
from worldmodel.data.video.video_file import read_video
from worldmodel.data.windows import WindowSampler

from ..filming import scene, shown
from ..recorded import FPS, LENGTHS, first_number, values, write

NUMBERS = [first_number(number) + row for number, rows in enumerate(LENGTHS) for row in range(rows)]


@pytest.mark.parametrize("camera", ["video", "image"])
def test_several_episodes_a_file_with_a_camera(tmp_path, camera):
    data = load(write(tmp_path / "d", camera=camera), picture_size=16)
    assert [(each.name, each.shape) for each in data.spec.sensors] == [("pixels", (16, 16, 3)), ("state", (2,))]
    assert (data.episodes, data.rows, data.names) == (3, sum(LENGTHS), ("episode 0", "episode 1", "episode 2"))
    assert shown(data.readings["pixels"]) == NUMBERS
    for number, rows in enumerate(LENGTHS):
        place = data.of_episode(number)
        np.testing.assert_array_equal(data.readings["state"][place], values(number, rows, 2))
        np.testing.assert_array_equal(data.actions[place][:-1], values(number, rows, 3)[:-1, :2])
    described = json.loads(data.metadata["task"])
    assert described["control_period"] == 1 / FPS and described["sensors"] == ["shoulder", "elbow"]
    assert described["cameras"]["pixels"] == {"camera": "front", "width": 48, "height": 32, "size": 16}
    actions = np.concatenate([values(number, rows, 3)[:-1, :2] for number, rows in enumerate(LENGTHS)])
    np.testing.assert_array_equal(data.action_low, actions.min(axis=0))
    np.testing.assert_array_equal(data.action_high, actions.max(axis=0))


def test_frames_are_those_of_a_plain_reader(tmp_path):
    folder = write(tmp_path / "d")
    (video,) = folder.glob("films/*/*/*.mp4")
    plain = [frame for _, frame in read_video(video)]
    parts = [each.path.videos["front"] for each in lerobot_logs(folder).recordings]
    ours = [[frame for _, frame in read_frames(part)] for part in parts]
    assert [len(each) for each in ours] == list(LENGTHS)
    np.testing.assert_array_equal(np.concatenate(ours), plain)


def test_pictures_in_rows_are_bit_for_bit(tmp_path):
    logs = lerobot_logs(write(tmp_path / "d", camera="image"))
    ours = [frame for each in logs.recordings for _, frame in read_frames(each.path.videos["front"])]
    np.testing.assert_array_equal(ours, [scene(number) for number in NUMBERS])


def test_windows_are_sampled_from_it(tmp_path):
    data = load(write(tmp_path / "d", camera=""))
    windows = WindowSampler.of(data, history=2, blocks=1, action_block=2).sample(jax.random.key(0), 64)
    known = {values(number, rows, 2)[row].tobytes() for number, rows in enumerate(LENGTHS) for row in range(rows)}
    seen = np.asarray(windows.observations["state"]).reshape(-1, 2)
    assert {row.tobytes() for row in seen} <= known and len({row.tobytes() for row in seen}) > 8


def test_pictures_are_decoded_again_where_the_list_of_episodes_changes(tmp_path):
    folder = write(tmp_path / "d")
    assert load(folder, picture_size=16).readings["pixels"].shape == (sum(LENGTHS), 16, 16, 3)
    key = (folder / "frames-16/key.json").read_text()
    load(folder, picture_size=16)
    assert (folder / "frames-16/key.json").read_text() == key
    (folder / "dataset.json").write_text("{}")
    load(folder, picture_size=16)
    assert (folder / "frames-16/key.json").read_text() != key


def test_dataset_json_chooses(tmp_path):
    folder = write(tmp_path / "d")
    chosen = {
        "task": "arm",
        "action_low": [-3, -2],
        "action_high": [3, 2],
        "sensors": ["observation.effort", "observation.state"],
        "sensor_units": ["N m", "rad", "rad"],
        "positions": ["observation.state"],
        "cameras": [],
    }
    (folder / "dataset.json").write_text(json.dumps(chosen))
    data = load(folder)
    assert [(each.name, each.shape) for each in data.spec.sensors] == [("state", (3,))]
    np.testing.assert_array_equal(data.readings["state"][:5, 1:], values(0, 5, 2))
    np.testing.assert_allclose(data.readings["state"][:5, :1], 1e3 + values(0, 5, 1), rtol=1e-6)
    assert data.states is not None and data.states.shape == (sum(LENGTHS), 2)
    assert data.action_low.tolist() == [-3, -2] and data.action_high.tolist() == [3, 2]
    described = json.loads(data.metadata["task"])
    assert described["task"] == "arm" and described["sensor_units"] == ["N m", "rad", "rad"]
    assert described["sensors"] == ["effort_0", "shoulder", "elbow"]
    (folder / "dataset.json").write_text('{"cameras": ["front"]}')
    assert [each.name for each in load(folder, picture_size=16).spec.sensors] == ["pixels", "state"]


def test_without_actions_nothing_was_recorded(tmp_path):
    data = load(write(tmp_path / "d", camera="", change=lambda info: info["features"].pop("action")))
    assert data.labelled_steps == 0 and data.steps == sum(LENGTHS) - 3


def test_a_gap_in_the_times_cuts_an_episode(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write(tmp_path / "d")
    path = folder / "rows/00/07.parquet"
    table = pq.read_table(path)
    times = table.column("timestamp").to_numpy().copy()
    times[3:5] += 2 / FPS  # the last two rows of the first episode, which show frames of the second
    table = table.set_column(table.schema.get_field_index("timestamp"), "timestamp", pa.array(times))
    pq.write_table(table, path)
    data = load(folder, picture_size=16)
    assert data.names[:2] == ("episode 0 from row 1", "episode 0 from row 4")
    assert shown(data.readings["pixels"])[:5] == [0, 1, 2, *NUMBERS[5:7]]


def test_depth_is_left_out(tmp_path, caplog):
    def deep(info):
        info["features"]["observation.images.front"]["info"] = {"is_depth_map": True}

    assert [each.name for each in load(write(tmp_path / "d", change=deep)).spec.sensors] == ["state"]
    assert "observation.images.front measures depth and was left out" in caplog.text
