"""Goals of a command line: files by camera, coordinates, and pictures of another camera."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.vision.camera import available
from experiments.build import compose
from experiments.pictures.appearance import Appearance
from experiments.pictures.goal import Target, coordinates, read_goal
from experiments.pictures.memory import Memory
from experiments.pictures.png import write_png
from worldmodel.observation import ObservationSpec, vector

from .small import seen_task, wandering


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


def remembered(task, **kwargs):
    """A memory without latents: the appearances of a task's cameras."""
    data = wandering(task, **kwargs)
    frames = {each.name: data.readings[each.name] for each in data.spec.pictures}
    return Memory(np.zeros((1, 1), np.float32), frames, {k: Appearance.of(v) for k, v in frames.items()}), data.spec


@pytest.fixture(scope="module")
def room():
    task = seen_task()
    yield task, *remembered(task)
    task.close()


@pytest.fixture(scope="module")
def fetch():
    task = seen_task("fetch_reach", 16)
    yield task, *remembered(task, episodes=3, steps=10)
    task.close()


def goals(task, count=40):
    rng = np.random.default_rng(5)
    return task.goal_observation(np.stack([task.sample_goal(rng) for _ in range(count)]))


@pytest.mark.parametrize("name", ["room", "fetch"])
def test_every_goal_of_the_task_is_of_its_camera(name, request):
    task, memory, spec = request.getfixturevalue(name)
    seen = goals(task)
    for camera in spec.pictures:
        assert all(memory.appearances[camera.name].fits(picture) for picture in seen[camera.name])


def test_other_cameras_are_recognised(room):
    task, memory, _ = room
    pictures = goals(task)["pixels"]
    mazes = seen_task("umaze")
    others = {
        "moved by a pixel": np.roll(pictures, (1, 1), (1, 2)),
        "of another task": goals(mazes)["pixels"],
        "in the dark": (pictures * 0.7).astype(np.uint8),
        "of exchanged colours": pictures[..., ::-1],
    }
    mazes.close()
    for what, each in others.items():
        assert not any(memory.appearances["pixels"].fits(picture) for picture in each), what


def test_a_file_is_a_goal_and_a_foreign_one_is_named(room, tmp_path):
    task, memory, spec = room
    picture = goals(task, 1)["pixels"][0]
    file, other = tmp_path / "goal.png", tmp_path / "other.png"
    write_png(file, picture)
    for given in (str(file), {"pixels": str(file)}):
        np.testing.assert_array_equal(read_goal(given, spec, memory, "m")["pixels"], picture)
    write_png(other, np.roll(picture, 3, 1))
    with pytest.raises(
        ValueError, match=r"other.png is not a picture of the camera pixels: \d+% of its pixels .* take"
    ):
        read_goal(str(other), spec, memory, "m")
    write_png(other, picture[..., ::-1])
    with pytest.raises(ValueError, match="other.png has red and blue exchanged, as cv2.imwrite .*: convert it"):
        read_goal(str(other), spec, memory, "m")


def test_two_cameras_take_a_file_each(fetch, tmp_path):
    task, memory, spec = fetch
    seen = goals(task, 1)
    files = {name: str(tmp_path / f"{name}.png") for name in ("pixels", "pixels_side")}
    for name, file in files.items():
        write_png(file, seen[name][0])
    assert set(read_goal(files, spec, memory, "m")) == set(files)
    every = r"goal=\{pixels: FILE.png, pixels_side: FILE.png\}"
    with pytest.raises(ValueError, match=f"is one picture, but the model has the cameras pixels, pixels_side: {every}"):
        read_goal(files["pixels"], spec, memory, "m")
    with pytest.raises(ValueError, match=f"goal lacks a picture of the camera pixels_side: write {every}"):
        read_goal({"pixels": files["pixels"]}, spec, memory, "m")
    with pytest.raises(ValueError, match="goal has the sensor 'pixels_sid', .*; did you mean pixels_side"):
        read_goal({**files, "pixels_sid": "x"}, spec, memory, "m")
    swapped = dict(zip(files, reversed(files.values()), strict=True))
    with pytest.raises(ValueError, match="is a picture of the camera pixels_side, not of pixels: exchange the files"):
        read_goal(swapped, spec, memory, "m")


def test_a_model_of_vectors_takes_no_picture():
    with pytest.raises(ValueError, match="goal=a.png is a picture, but m.safetensors is observed by state: train with"):
        read_goal("a.png", vector(4), None, "m.safetensors")


def test_without_a_memory_a_line_says_what_is_not_checked(room, tmp_path, caplog):
    task, _, spec = room
    write_png(tmp_path / "a.png", goals(task, 1)["pixels"][0])
    read_goal(str(tmp_path / "a.png"), spec, None, "m.safetensors")
    assert "m.safetensors has no m.memory.safetensors beside it" in caplog.text


def test_coordinates_that_a_task_refuses_are_named():
    with pytest.raises(ValueError, match="puts the object at a height of 0.200 m, which is inside of the table"):
        coordinates(envs.make("fetch_push"), [1.3, 0.7, 0.5, 1.3, 0.7, 0.2])


def test_coordinates_are_those_of_the_task(room):
    task, _, _ = room
    spec = ObservationSpec.of(task.sensors)
    cfg = compose("plan", "task=two_room", "goal_at=[0.5,0.25]")
    target = Target.of(cfg, task, spec, None, "m")
    assert target is not None and target.observation is None
    np.testing.assert_array_equal(target.at, [0.5, 0.25])
    assert Target.of(compose("plan", "task=two_room"), task, spec, None, "m") is None
    with pytest.raises(ValueError, match=r"goal_at has 1 numbers, but a goal of two_room has 2: .*goal_at=\["):
        Target.of(compose("plan", "task=two_room", "goal_at=[0.5]"), task, spec, None, "m")
