"""From logs with video to a controller that sees a camera: `python -m experiments.examples.own_videos FOLDER`.

The robot is the cart of `own_logs`. Its sensor is a camera beside the rail, drawn here in NumPy; yours writes the same
files from its own camera.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
from numpy import ndarray

from planning.control import Controller, camera_picture

from ..build.settings import compose
from ..commands.export import run as export
from ..commands.train import run as train
from .own_logs import PERIOD, cart

HEIGHT, WIDTH = 72, 96  # of the camera's frames


def camera(state: ndarray) -> ndarray:
    """Return what the camera sees of the cart, [72, 96, 3] uint8."""
    frame = np.full((HEIGHT, WIDTH, 3), 30, np.float32)
    frame[50:54] = 90.0  # the rail
    left = WIDTH / 2 + 28.0 * float(state[0]) - 5.0
    columns = np.arange(WIDTH)
    covered = np.clip(np.minimum(columns + 1, left + 10.0) - np.maximum(columns, left), 0.0, 1.0)  # of each column
    frame[36:50] += covered[:, None] * (np.array([230.0, 120.0, 40.0]) - frame[36:50])
    return frame.round().astype(np.uint8)


def write_video(path: Path, frames: list[ndarray], rate: int) -> None:
    """Write frames as H.264 in an mp4, `rate` of them a second."""
    import av  # of the extra `video`

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "15"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def log_episodes(folder: Path, episodes: int, steps: int) -> None:
    """Drive at random, and write logs and videos in the layout of docs/own_logs.md."""
    folder.mkdir(parents=True)
    description = {
        "task": "cart",
        "control_period": PERIOD,
        "action_low": [-1.0],
        "action_high": [1.0],
        "cameras": ["front"],
        "actuators": ["force"],
        "action_units": ["N"],
        "positions": ["position"],  # not for the model: a probe decodes it, and `diagnose` measures how well
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    rng = np.random.default_rng(0)
    for episode in range(episodes):
        state = np.array([rng.uniform(-1, 1), 0.0], np.float32)
        rows, frames = list[list[object]](), list[ndarray]()
        for step in range(steps + 1):
            if step % 5 == 0:
                force = rng.uniform(-1, 1, 1).astype(np.float32)
            rows.append([round(step * PERIOD, 3), state[0], force[0] if step < steps else ""])
            frames.append(camera(state))
            state = cart(state, force)
        path = folder / f"episode_{episode:03d}"
        path.mkdir()
        write_video(path / "front.mp4", frames, round(1 / PERIOD))
        with (path / "log.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["time", "position", "force"], *rows])


def main(folder: Path, *overrides: str, episodes: int = 100, steps: int = 100) -> float:
    """Log, train, export, and drive the cart to 0.5 m by its camera; return the remaining distance in metres."""
    log_episodes(folder / "logs", episodes, steps)
    common = ("task=custom", "observation=pixels", "planner.horizon=12", *overrides)
    model, bundle = folder / "cart.safetensors", folder / "cart.bundle"
    train(compose("train", f"data='{folder / 'logs'}'", f"out='{model}'", *common))
    export(compose("export", f"checkpoint='{model}'", f"out='{bundle}'", *common))

    controller = Controller.load(bundle)
    size = controller.engine.contract.observation.sensors[0].shape[0]
    controller.warmup()
    controller.reset(goal=camera_picture(camera(np.array([0.5, 0.0])), size), seed=0)
    state = np.array([-0.5, 0.0], np.float32)
    for _ in range(80):
        state = cart(state, controller.act(camera_picture(camera(state), size)))
    return abs(float(state[0]) - 0.5)


if __name__ == "__main__":
    left = main(Path(sys.argv[1]), *sys.argv[2:])
    sys.stdout.write(f"{left:.3f} m from the goal\n")
