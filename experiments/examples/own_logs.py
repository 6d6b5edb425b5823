"""From a robot's logs to a controller, without a simulator: `python -m experiments.examples.own_logs FOLDER`.

The robot here is a cart on a rail, in eight lines of NumPy; yours writes the same files from its own log.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy import ndarray

from planning.control import Controller

from ..build.settings import compose
from ..commands.export import run as export
from ..commands.train import run as train

PERIOD = 0.05


def cart(state: ndarray, force: ndarray) -> ndarray:
    """Return position (m) and velocity (m/s) one control period later."""
    position, velocity = state
    velocity = 0.95 * velocity + PERIOD * 4.0 * float(force[0])
    position = position + PERIOD * velocity
    if abs(position) > 1.0:  # the ends of the rail
        position, velocity = np.sign(position), 0.0
    return np.array([position, velocity], np.float32)


def log_episodes(folder: Path, episodes: int, steps: int) -> None:
    """Drive at random, and write the log in the format of docs/own_logs.md."""
    folder.mkdir(parents=True)
    description = {
        "task": "cart",
        "control_period": PERIOD,
        "action_low": [-1.0],
        "action_high": [1.0],
        "sensors": ["position", "velocity"],
        "sensor_units": ["m", "m/s"],
        "actuators": ["force"],
        "action_units": ["N"],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    rng = np.random.default_rng(0)
    for episode in range(episodes):
        state = np.array([rng.uniform(-1, 1), 0.0], np.float32)
        observations, actions = [state], []
        for step in range(steps):
            if step % 5 == 0:
                force = rng.uniform(-1, 1, 1).astype(np.float32)
            state = cart(state, force)
            observations.append(state)
            actions.append(force)
        path = folder / f"episode{episode:04d}.npz"
        np.savez(path, observations=observations, actions=actions, positions=np.array(observations)[:, :1])


def main(folder: Path, *overrides: str) -> float:
    """Log, train, export, and drive the cart to 0.5 m; return the remaining distance to the goal in metres."""
    log_episodes(folder / "logs", episodes=200, steps=100)
    common = ("task=custom", "planner.horizon=12", *overrides)
    model, bundle = folder / "cart.safetensors", folder / "cart.bundle"
    train(compose("train", f"data='{folder / 'logs'}'", f"out='{model}'", *common))
    export(compose("export", f"checkpoint='{model}'", f"out='{bundle}'", *common))

    controller = Controller.load(bundle)
    controller.warmup()
    controller.reset(goal=[0.5, 0.0], seed=0)
    state = np.array([-0.5, 0.0], np.float32)
    for _ in range(80):
        state = cart(state, controller.act(state))
    return abs(float(state[0]) - 0.5)


if __name__ == "__main__":
    left = main(Path(sys.argv[1]), *sys.argv[2:])
    sys.stdout.write(f"{left:.3f} m from the goal\n")
