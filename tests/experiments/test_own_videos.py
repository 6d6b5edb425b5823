"""Logs with video, from files that a camera wrote to a controller that sees one."""

import csv
import json
import shutil

import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise
from envs.streams import episode_rng
from envs.vision.camera import available
from experiments.commands import diagnose, export, train
from experiments.examples import own_videos
from experiments.training.given_data import load_for_training
from planning.control import Bundle, Controller, camera_picture
from worldmodel.data.video.square import square_picture

from .recipe import settings

STEPS, EPISODES, FRAME = 40, 6, 40
SMALL = ("task=custom", "observation.size=32", "observation.features=32", "model.ensemble=1", "model.policy=false")


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    """Episodes of two_room: the first ones with an mp4, the last one with PNGs, and what the camera saw."""
    if (reason := available()) is not None:
        pytest.skip(reason)
    task = envs.make("two_room")
    task.see(["pixels", "proprio"], size=FRAME)
    rngs = [episode_rng(0, "collect", index) for index in range(EPISODES)]
    starts = np.stack([task.sample_state(rng) for rng in rngs])
    states, actions = ColouredNoise().rollout(task, starts, rngs, STEPS)
    frames = task.sense(states, rngs)["pixels"]
    folder = tmp_path_factory.mktemp("logs")
    for index in range(EPISODES):
        path = folder / f"episode_{index:03d}"
        path.mkdir()
        with (path / "log.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time", "vx", "vy", "fx", "fy"])
            for row in range(STEPS + 1):
                action = actions[index, row] if row < STEPS else ("", "")
                writer.writerow([f"{row * task.control_period:.4f}", *states[index, row, 2:4], *action])
        if index < EPISODES - 1:
            own_videos.write_video(path / "top.mp4", list(frames[index]), round(1 / task.control_period))
        else:
            from PIL import Image

            (path / "top").mkdir()
            for row, frame in enumerate(frames[index]):
                Image.fromarray(frame).save(path / "top" / f"{row:06d}.png")
    description = {
        "control_period": task.control_period,
        "action_low": task.action_space.low.tolist(),
        "action_high": task.action_space.high.tolist(),
        "cameras": ["top"],
        "sensors": ["vx", "vy"],
        "actuators": ["fx", "fy"],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    yield folder, frames
    task.close()


@pytest.fixture(scope="module")
def model(drives, tmp_path_factory):
    """A model of pictures and velocities, trained for a moment, and its file."""
    runs = tmp_path_factory.mktemp("runs")
    cfg = settings("train", runs, *SMALL, "observation=[pixels,state]", f"data='{drives[0]}'")
    return train.run(cfg), runs / "custom-pixels_state-seed0.safetensors"


def test_train_diagnose_export_and_act(drives, model, tmp_path, capsys):
    folder, frames = drives
    trained, file = model
    assert [sensor.name for sensor in trained.model.observation.sensors] == ["pixels", "state"]
    assert trained.metadata["task"]["cameras"]["pixels"] == {
        "camera": "top",
        "width": FRAME,
        "height": FRAME,
        "size": 32,
    }
    found = diagnose.run(
        settings("diagnose", tmp_path, *SMALL, f"checkpoint='{file}'", f"data='{folder}'", "held_out=3")
    )
    assert np.isfinite(found.values["horizon_ratio"]) and found.source.startswith("the last 3 of 6 episodes")

    bundle = tmp_path / "own.bundle"
    export.run(settings("export", tmp_path, "task=custom", f"checkpoint='{file}'", f"out='{bundle}'"))
    how = "top, 40 x 40 RGB: camera_picture(frame, 32)"
    assert f"make pixels on the robot from {how}" in capsys.readouterr().out
    assert Bundle.load(bundle).contract.cameras == {"pixels": how}
    controller = Controller.load(bundle)
    controller.warmup()
    goal = {"pixels": camera_picture(frames[0, -1], 32)}
    controller.reset(goal=goal, seed=0)
    seen = controller.act({"pixels": camera_picture(frames[0, 0], 32), "state": [0.0, 0.0]})
    controller.reset(goal=goal, seed=0)
    elsewhere = controller.act({"pixels": camera_picture(frames[1, 5], 32), "state": [0.0, 0.0]})
    assert seen.shape == (2,) and not np.array_equal(seen, elsewhere)
    with pytest.raises(ValueError, match=r"must be an array of uint8 \[32, 32, 3\]; got uint8 \[40, 40, 3\]"):
        controller.act({"pixels": frames[0, 0]})


def test_pngs_come_back_as_they_were_drawn_and_videos_nearly(drives, tmp_path):
    folder, frames = drives
    cfg = settings("train", tmp_path, *SMALL, "observation=pixels")
    data = load_for_training(cfg, folder, 0)
    assert [(sensor.name, sensor.optional) for sensor in data.spec.sensors] == [("pixels", False)]
    stored = data.readings["pixels"].reshape(EPISODES, STEPS + 1, 32, 32, 3)
    expected = np.stack([[camera_picture(frame, 32) for frame in each] for each in frames])
    np.testing.assert_array_equal(stored[-1], expected[-1])
    assert np.abs(stored[:-1].astype(int) - expected[:-1]).mean() < 3


def test_the_robot_makes_the_pictures_of_the_training():
    rng = np.random.default_rng(0)
    for shape, size in (((48, 64), 32), ((45, 45), 32), ((33, 90), 32), ((32, 32), 32), ((100, 70), 16)):
        frame = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        np.testing.assert_array_equal(camera_picture(frame, size), square_picture(frame, size))
    with pytest.raises(ValueError, match=r"must be an array of uint8 \[H, W, 3\]; got float64 \[8, 8, 3\]"):
        camera_picture(np.zeros((8, 8, 3)), 4)


def test_sensors_that_the_logs_lack_and_a_recipe_of_vectors(drives, tmp_path, caplog):
    cfg = settings("train", tmp_path, *SMALL, "observation=pixels_proprio")
    with pytest.raises(ValueError, match=r"no sensor 'proprio', only pixels, state: .* observation=\[pixels,state\]"):
        load_for_training(cfg, drives[0], 0)
    data = load_for_training(settings("train", tmp_path, *SMALL), drives[0], 0)
    assert len(data.spec.sensors) == 2 and "choose the other one with observation=[pixels,state]" in caplog.text


def test_a_camera_of_another_resolution_is_another_camera(drives, model, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(drives[0], folder, ignore=shutil.ignore_patterns("frames-*", "episode_00[1-5]"))
    frames = [np.pad(frame, ((0, 0), (8, 8), (0, 0))) for frame in drives[1][0]]
    own_videos.write_video(folder / "episode_000" / "top.mp4", frames, 20)
    cfg = settings("diagnose", tmp_path, *SMALL, f"checkpoint='{model[1]}'", f"data='{folder}'")
    with pytest.raises(
        ValueError, match="has pixels from frames of 56 × 40 pixels, and the model learned from 40 × 40"
    ):
        diagnose.run(cfg)


@pytest.mark.slow  # trains a model of its own
def test_the_worked_example_runs(tmp_path):
    small = ("budget=smoke", "model.latent_size=8", "model.width=32", "model.head_width=16", "model.train_blocks=3")
    planner = ("planner.num_samples=32", "planner.iterations=2", "model.pictures=patches")
    left = own_videos.main(tmp_path / "cart", *small, *planner, *SMALL[1:4], episodes=4, steps=60)
    assert 0 <= left < 2
