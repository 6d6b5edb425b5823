import subprocess
import sys

import numpy as np
import pytest

from envs.vision.camera import Camera, available

SIZE = 96


@pytest.fixture(scope="module")
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


@pytest.fixture
def camera(drawing, task):
    camera = Camera(task.model, SIZE, SIZE, task.place_goal)
    yield camera
    camera.close()


def test_the_body_and_the_goal_are_where_they_should_be(camera, task):
    rng = np.random.default_rng(0)
    top = task.model.camera("top")
    half = float(task.model.cam_fovy[top.id]) / 2  # metres: the camera is orthographic
    for _ in range(3):
        state, goal = task.sample_pair(rng)
        frame = camera.frame(state, goal).astype(int)
        for point, (more, less) in ((task.keypoints(state)[-1], (0, 1)), (task.goal_keypoints(goal)[-1], (1, 0))):
            column, row = (((point - top.pos[:2]) * [1, -1] / half + 1) / 2 * SIZE).astype(int)
            pixel = frame[row, column]
            assert pixel[more] > pixel[less] + 30, f"not red or green enough at {point}: {pixel}"
    assert frame.shape == (SIZE, SIZE, 3)


def test_frames_repeat_and_follow_the_state(camera, task):
    rng = np.random.default_rng(1)
    (state, goal), (other, _) = task.sample_pair(rng), task.sample_pair(rng)
    first = camera.frame(state, goal)
    assert not np.array_equal(first, camera.frame(other, goal))
    np.testing.assert_array_equal(first, camera.frame(state, goal))


def test_a_closed_camera_says_so(camera, task):
    camera.close()
    camera.close()
    with pytest.raises(RuntimeError, match="this camera is closed"):
        camera.frame(task.state)


def test_no_pixels_no_camera(task):
    with pytest.raises(ValueError, match="width=0, height=4"):
        Camera(task.model, 0, 4)


def test_a_missing_opengl_is_explained(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glx")  # what a machine without EGL comes to: MuJoCo's import of it fails
    reason = available()
    assert reason is not None and reason.startswith("no OpenGL context") and "libegl1" in reason


def test_an_open_camera_does_not_spoil_the_exit(drawing):
    code = (
        "import envs\n"
        "from envs.vision.camera import Camera\n"
        "kept = [envs.make('two_room', 'rgb_array') for _ in range(2)]\n"
        "[t.reset(seed=0) for t in kept], [t.render() for t in kept]\n"
        "lost = Camera(kept[0].model, 8, 8); del lost\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
