"""Episodes whose actions nobody recorded: videos without a log, and logs without actions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from worldmodel.data.dataset import load

from ..filming import DESCRIPTION, describe, scene, shown, write_log, write_pngs, write_video

ROWS = 12
FRAMES = [scene(number) for number in range(2 * ROWS)]


def read(folder, **settings):
    return load(folder, picture_size=16, **settings)


def test_a_folder_of_nothing_but_videos(tmp_path):
    write_video(tmp_path / "b.mp4", FRAMES[:ROWS])
    write_video(tmp_path / "a.mp4", FRAMES[:6])
    (tmp_path / "more").mkdir()
    write_video(tmp_path / "more" / "c.mkv", FRAMES[:8])
    write_pngs(tmp_path / "pngs", FRAMES[:5])
    (tmp_path / "notes.txt").write_text("filmed on Monday")
    with pytest.raises(ValueError, match="holds videos and no log of what was done: add method=video"):
        read(tmp_path)
    data = read(tmp_path, clips=True)
    assert data.names == ("a.mp4", "b.mp4", "more/c.mkv", "pngs") and not data.labelled_steps
    assert shown(data.readings["pixels"]) == [*range(6), *range(ROWS), *range(8), *range(5)]
    assert data.actions.shape == (31, 1) and data.steps == 27
    assert [(each.name, each.optional) for each in data.spec.sensors] == [("pixels", False)]
    task = json.loads(data.metadata["task"])
    assert task["control_period"] == pytest.approx(0.05) and task["actuators"] == ["not recorded"]


def test_videos_of_several_rates_need_a_control_period_and_are_read_by_it(tmp_path):
    write_video(tmp_path / "fast.mp4", FRAMES, rate=40)
    write_video(tmp_path / "slow.mp4", FRAMES[:ROWS], rate=20)
    with pytest.raises(ValueError, match=r"slow.mp4 has 20 frames a second, and .*fast.mp4 has 40: .*period=0.05, in"):
        read(tmp_path, clips=True)
    data = read(tmp_path, clips=True, control_period=0.05)
    assert shown(data.readings["pixels"]) == [*range(0, 2 * ROWS, 2), *range(ROWS)]
    assert shown(read(tmp_path, clips=True, control_period=0.1).readings["pixels"][:6]) == [*range(0, 24, 4)]
    with pytest.raises(ValueError, match=r"slow.mp4 has 20 frames a second, and the control period of 25 ms needs 40"):
        read(tmp_path, clips=True, control_period=0.025)


def test_what_cannot_be_used_is_one_sentence(tmp_path):
    write_pngs(tmp_path / "pngs" / "a", FRAMES[:3])
    with pytest.raises(ValueError, match="holds PNGs, which tell no time: add control_period=SECONDS"):
        read(tmp_path / "pngs", clips=True)
    assert read(tmp_path / "pngs", clips=True, control_period=0.1).steps == 2
    (tmp_path / "sizes").mkdir()
    write_video(tmp_path / "sizes" / "a.mp4", FRAMES[:3])
    write_video(tmp_path / "sizes" / "b.mp4", [scene(0, 64, 48)] * 3)
    with pytest.raises(ValueError, match="b.mp4 has frames of 64 × 48 pixels, and .*a.mp4 of 48 × 32"):
        read(tmp_path / "sizes", clips=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="a.mp4 is damaged"):
        read(tmp_path / "broken", clips=True)


def test_videos_without_a_log_beside_logged_ones(tmp_path, caplog):
    describe(tmp_path)
    write_log(tmp_path / "episode_000" / "log.csv", ROWS)
    write_video(tmp_path / "episode_000" / "front.mp4", FRAMES[:ROWS])
    (tmp_path / "episode_001").mkdir()
    write_video(tmp_path / "episode_001" / "any.mp4", FRAMES[:6])
    write_video(tmp_path / "hand.mp4", FRAMES[:8])
    assert read(tmp_path).episodes == 1 and "episode_001 holds a video and no log, and was left out" in caplog.text
    data = read(tmp_path, clips=True)
    assert data.names == ("episode_000/log.csv", "episode_001/any.mp4", "hand.mp4")
    assert data.labelled_steps == ROWS - 1 and data.steps == ROWS - 1 + 5 + 7
    assert shown(data.readings["pixels"]) == [*range(ROWS), *range(6), *range(8)]
    assert data.readings["state_present"][:, 0].tolist() == [1] * ROWS + [0] * 14  # the columns were not logged
    assert data.readings["pixels_present"].all() and not data.readings["state"][ROWS:].any()


def test_several_cameras_need_a_folder_for_each_episode(tmp_path):
    describe(tmp_path, cameras=["front", "side"])
    (tmp_path / "a").mkdir()
    write_video(tmp_path / "a" / "front.mp4", FRAMES[:5])
    with pytest.raises(ValueError, match="no video of the camera side"):
        read(tmp_path, clips=True)
    write_video(tmp_path / "a" / "side.mp4", FRAMES[:5])
    assert read(tmp_path, clips=True).names == ("a/front.mp4",)
    write_video(tmp_path / "b.mp4", FRAMES[:5])
    with pytest.raises(ValueError, match="b.mp4 has no log, and dataset.json names 2 cameras: give the videos of each"):
        read(tmp_path, clips=True)


CSV = {**DESCRIPTION, "cameras": [], "actuators": ["u", "v"], "action_low": [-1, -1], "action_high": [1, 1]}


@pytest.mark.parametrize(
    ("cells", "labelled"),
    [
        ("x,u,v\n1,0.5,0.5\n2,,\n3,0.1,0.1\n4,,\n", [True, False, True]),
        ("x,u,v\n1,nan,nan\n2,0.5,0.5\n3,nan,NaN\n4,,\n", [False, True, False]),
        ("x\n1\n2\n3\n4\n", [False] * 3),
        ("x;u;v\n1,5;0,5;0,5\n2,5;;\n3,5;0,1;0,1\n4,5;;\n", [True, False, True]),
    ],
)
def test_empty_cells_of_actions_are_actions_that_were_not_recorded(tmp_path, cells, labelled):
    (tmp_path / "dataset.json").write_text(json.dumps(CSV))
    (tmp_path / "a.csv").write_text(cells)
    data = read(tmp_path)
    assert data.labelled[:3].tolist() == labelled and data.actions.shape == (4, 2)
    assert np.isnan(data.actions).all(axis=1).tolist() == [not each for each in labelled] + [False]


def test_a_part_of_an_action_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps(CSV))
    (tmp_path / "a.csv").write_text("x,u,v\n1,0.5,0.5\n2,0.5,\n3,,\n")
    with pytest.raises(ValueError, match="a.csv has only a part of the action at step 1: log all of its components"):
        read(tmp_path)
    (tmp_path / "a.csv").write_text("x,u\n1,0.5\n2,\n")
    with pytest.raises(ValueError, match="a.csv has no column v, which dataset.json names"):
        read(tmp_path)
    (tmp_path / "a.csv").write_text("x,u,v\n1,inf,0.5\n2,,\n")
    with pytest.raises(ValueError, match="a.csv has a value in its actions at step 0 that is not finite"):
        read(tmp_path)


def test_npz_files_without_actions_and_a_description_without_actuators(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"control_period": 0.05, "sensors": ["x", "y"]}))
    np.savez(tmp_path / "a.npz", observations=np.arange(8.0).reshape(4, 2))
    (tmp_path / "b.csv").write_text("x,y\n1,2\n2,3\n")
    data = read(tmp_path)
    assert data.steps == 4 and data.labelled_steps == 0 and data.names == ("a.npz", "b.csv")
    np.savez(tmp_path / "a.npz", observations=np.arange(8.0).reshape(4, 2), actions=np.full((3, 1), np.nan))
    assert read(tmp_path).labelled_steps == 0
