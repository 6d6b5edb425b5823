"""Episodes as a small video: frames from the task's camera where there is OpenGL, else drawn in 2D from positions.

The camera runs in a child process (`python -m experiments.pages.video IN.npz OUT.npz`), because the rendering backend
has to be chosen before mujoco is first imported and a broken driver must not take the run down with it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from envs.task import Scene

from ..records.episodes import EpisodeRecord

log = logging.getLogger(__name__)

Frames = UInt8[ndarray, "T h w 3"]

BACKGROUND, FLOOR, WALL = (226, 230, 236), (247, 248, 250), (71, 85, 105)
BODY, TRAIL, GOAL = (37, 99, 235), (147, 180, 244), (22, 163, 74)
REACHED, MISSED, GAP = (22, 163, 74), (220, 38, 38), (24, 27, 33)
CAMERA_TIMEOUT = 300.0  # timeout in seconds, since a driver may hang


def encode(frames: Frames, fps: float, crf: int = 28) -> bytes:
    """Compress frames to an MP4 that browsers play: H.264, yuv420p, index first; odd sizes are padded by one pixel.

    Raises:
      ValueError: no frames, another shape or type than uint8 `[T, h, w, 3]`, or a rate that is not positive.
      RuntimeError: the encoder is missing or failed; the message names a fix.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or frames.size == 0:
        raise ValueError(f"frames must be uint8 [T, h, w, 3] and not empty; got {frames.dtype} {list(frames.shape)}")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number of frames a second; got {fps}")
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    try:
        import imageio_ffmpeg

        with tempfile.TemporaryDirectory() as folder:  # the index can only be moved to the front of a real file
            path = Path(folder) / "video.mp4"
            writer = imageio_ffmpeg.write_frames(
                str(path),
                (frames.shape[2], frames.shape[1]),
                fps=fps,
                codec="libx264",
                quality=None,
                macro_block_size=2,
                output_params=["-crf", str(crf), "-preset", "slow", "-movflags", "+faststart"],
            )
            writer.send(None)
            for frame in frames:
                writer.send(np.ascontiguousarray(frame))
            writer.close()
            return path.read_bytes()
    except (ImportError, OSError, RuntimeError) as error:
        reason = f"the encoder failed ({' '.join(str(error).split())}), `jepa-mpc doctor` checks it and the disk"
        raise RuntimeError(reason) from error


def draw(
    scene: Scene, keypoints: Float[ndarray, "T J 2"], goal: Float[ndarray, "J 2"], size: int = 256
) -> UInt8[ndarray, "T size size 3"]:
    """Draw frames in 2D from positions in metres: floor, walls, goal ring, trail and body, antialiased.

    The framing is that of a camera above the middle of the scene: x to the right, y up, the longer side in full.
    """
    canvas = _Canvas(scene, size)
    image = np.empty((size, size, 3), np.float32)
    image[:] = BACKGROUND
    middle, half = np.add(scene.low, scene.high) / 2, np.subtract(scene.high, scene.low) / 2
    canvas.paint(image, canvas.box(middle, half), FLOOR)
    for x, y, half_width, half_height in scene.walls:
        canvas.paint(image, canvas.box((x, y), (half_width, half_height)), WALL)

    thickness = max(scene.radius, 2 * canvas.pixel)
    ring = np.abs(canvas.disc(goal[-1], 1.6 * thickness)) - 0.25 * thickness
    for start, end in scene.bars(goal):
        canvas.paint(image, canvas.line(start, end, 0.5 * thickness), GOAL, 0.25)
    canvas.paint(image, ring, GOAL)

    frames = np.empty((len(keypoints), size, size, 3), np.uint8)
    for step, points in enumerate(keypoints):
        if step:
            canvas.paint(image, canvas.line(keypoints[step - 1, -1], points[-1], 0.3 * thickness), TRAIL)
        frame = image.copy()
        for start, end in scene.bars(points):
            canvas.paint(frame, canvas.line(start, end, 0.6 * thickness), BODY, 0.75)
        canvas.paint(frame, canvas.disc(points[-1], thickness), BODY)
        frames[step] = np.round(frame)
    return frames


class _Canvas:
    """Canvas that paints by signed distances in metres from pixels to simple shapes; negative is inside."""

    def __init__(self, scene: Scene, size: int):
        self.size = size
        low, high = np.asarray(scene.low, np.float64), np.asarray(scene.high, np.float64)
        side = 1.08 * float((high - low).max())
        self.pixel = side / size
        axis = ((np.arange(size) + 0.5) / size - 0.5) * side
        self.x = (axis + (low + high)[0] / 2).astype(np.float32)[None, :]
        self.y = (-axis + (low + high)[1] / 2).astype(np.float32)[:, None]

    def disc(self, centre: Sequence[float] | ndarray, radius: float) -> Float[ndarray, "size size"]:
        return np.hypot(self.x - np.float32(centre[0]), self.y - np.float32(centre[1])) - np.float32(radius)

    def box(self, centre: Sequence[float] | ndarray, half: Sequence[float] | ndarray) -> Float[ndarray, "size size"]:
        dx = np.abs(self.x - np.float32(centre[0])) - np.float32(half[0])
        dy = np.abs(self.y - np.float32(centre[1])) - np.float32(half[1])
        return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)

    def line(self, start: ndarray, end: ndarray, radius: float) -> Float[ndarray, "size size"]:
        """Signed distance to a segment with round ends."""
        (sx, sy), (dx, dy) = np.asarray(start, np.float32), np.asarray(end - start, np.float32)
        along = ((self.x - sx) * dx + (self.y - sy) * dy) / np.float32(max(dx * dx + dy * dy, 1e-12))
        along = np.clip(along, 0, 1)
        return np.hypot(self.x - sx - along * dx, self.y - sy - along * dy) - np.float32(radius)

    def paint(self, image: ndarray, distance: ndarray, colour: tuple[int, int, int], opacity: float = 1.0) -> None:
        """Blend `colour` in where the shape covers the pixels; its edge is one pixel wide."""
        cover = np.float32(opacity) * np.clip(0.5 - distance / np.float32(self.pixel), 0, 1)
        rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
        if rows.size:
            window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            image[window] += cover[window][..., None] * (np.asarray(colour, np.float32) - image[window])


def tile(clips: Sequence[Frames], successes: Sequence[bool], columns: int = 2, gap: int = 6, hold: int = 10) -> Frames:
    """Tile clips of one frame size side by side, `columns` in a row. All end together, `hold` frames after the longest.

    A finished clip keeps its last frame and gets a border: green and solid where the goal was reached, red and
    dashed where it was not.
    """
    if not clips or len(clips) != len(successes) or len({clip.shape[1:] for clip in clips}) != 1:
        shapes = [list(clip.shape) for clip in clips]
        raise ValueError(f"tile needs clips of one frame size and a success for each; got {shapes}, {len(successes)}")
    (height, width), length = clips[0].shape[1:3], max(map(len, clips)) + hold
    columns = min(columns, len(clips))
    rows = -(-len(clips) // columns)
    canvas = np.empty((length, rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    canvas[:] = GAP
    for index, (clip, success) in enumerate(zip(clips, successes, strict=True)):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        cell = canvas[:, top : top + height, left : left + width]
        cell[: len(clip)], cell[len(clip) :] = clip, clip[-1]
        cell[len(clip) - 1 :, _border(height, width, dashed=not success)] = REACHED if success else MISSED
    return canvas


def _border(height: int, width: int, dashed: bool) -> Bool[ndarray, "height width"]:
    thickness, dash = max(2, min(height, width) // 50), max(4, min(height, width) // 16)
    y, x = np.ogrid[:height, :width]
    edge = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)) < thickness
    return edge & ((x + y) // dash % 3 != 2) if dashed else edge


def render_episodes(task_name: str, episodes: Sequence[EpisodeRecord], size: int = 256) -> tuple[list[Frames], str]:
    """Render frames `[T+1, size, size, 3]` of each episode, and a sentence that names the method.

    Tries the task's camera first; if that fails, draws in 2D, and the sentence names the reason and the fix.
    """
    try:
        return _photograph(task_name, episodes, size), "Rendered by MuJoCo from the states that were executed."
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        log.warning("no camera, drawing in 2D instead: %s", error)
        reason = str(error)
    from envs import make

    scene = make(task_name).scene()
    frames = []
    for episode in episodes:
        assert episode.keypoints is not None and episode.goal_keypoints is not None
        frames.append(draw(scene, episode.keypoints, episode.goal_keypoints, size))
    fix = "where OpenGL is missing, `apt install libegl1 libgl1-mesa-dri` brings it, and `jepa-mpc doctor` checks it"
    return frames, f"Drawn in 2D from the executed positions, because the camera failed ({reason}); {fix}."


def film(
    task_name: str, episodes: Sequence[EpisodeRecord], control_period: float, size: int = 256
) -> tuple[bytes | None, str]:
    """Encode one MP4 of the episodes side by side, in real time, with a note; on failure `None` and the reason."""
    if not episodes:
        return None, "There is no video: no episode was recorded."
    if any(episode.keypoints is None for episode in episodes):
        return None, f"There is no video: {task_name} has no view from above."
    clips, note = render_episodes(task_name, episodes, size)
    fps = 1 / control_period
    frames = tile(clips, [episode.success for episode in episodes], hold=round(fps))
    try:
        return encode(frames, fps), note
    except RuntimeError as error:
        log.warning("%s", error)
        return None, f"There is no video: {error}."


def _photograph(task_name: str, episodes: Sequence[EpisodeRecord], size: int) -> list[Frames]:
    """Run this module as a child with a camera. Raises RuntimeError with the child's last line when it fails."""
    root = str(Path(__file__).resolve().parents[2])
    backend = {"MUJOCO_GL": "egl"} if sys.platform == "linux" else {}  # a user's own setting takes precedence
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as folder:
        request, reply = Path(folder) / "states.npz", Path(folder) / "frames.npz"
        arrays = {"task": np.asarray(task_name), "size": np.asarray(size)}
        for index, episode in enumerate(episodes):
            arrays |= {f"states_{index}": episode.states, f"goal_{index}": episode.goal}
        np.savez(request, **arrays)  # type: ignore[arg-type]  # numpy's stub types the keywords as its own flag
        child = subprocess.run(
            [sys.executable, "-P", "-m", "experiments.pages.video", str(request), str(reply)],
            env=backend | os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=CAMERA_TIMEOUT,
        )
        if child.returncode:
            raise RuntimeError((child.stderr.strip().splitlines() or ["the camera's process died"])[-1])
        with np.load(reply, allow_pickle=False) as frames:
            return [frames[f"frames_{index}"] for index in range(len(episodes))]


def _photograph_here(request: Path, reply: Path) -> None:
    """Read states and goals, render, and write frames; runs in the child process."""
    from envs import make
    from envs.mujoco_task import MujocoTask
    from envs.vision.camera import Camera

    with np.load(request, allow_pickle=False) as arrays:
        task, size = make(str(arrays["task"])), int(arrays["size"])
        if not isinstance(task, MujocoTask):
            raise SystemExit(f"{arrays['task']} is not simulated by MuJoCo")
        camera = Camera(task.model, size, size, task.place_goal)
        frames, index = {}, 0
        while f"states_{index}" in arrays:
            goal = arrays[f"goal_{index}"]
            frames[f"frames_{index}"] = np.stack([camera.frame(state, goal) for state in arrays[f"states_{index}"]])
            index += 1
    np.savez(reply, **frames)  # type: ignore[arg-type]


if __name__ == "__main__":
    _photograph_here(Path(sys.argv[1]), Path(sys.argv[2]))
