"""A robot's control loop in 60 lines: this process has the sensors and motors, the planner runs in a separate process.

`python robot_loop.py reacher.bundle`. Replace `Robot` by your own; nothing else knows that this one is simulated.
"""

from __future__ import annotations

import logging
import sys
import time

import numpy as np

from planning.control import Fallback, Loop, Planning, RealtimeController


class Robot:
    """Simulated robot: its sensor readings drift towards the motor commands."""

    def __init__(self, sensors: int, motors: int):
        self._reading = np.zeros(sensors)
        self._gain = np.linspace(0.01, 0.02, sensors * motors).reshape(motors, sensors)

    def read(self) -> np.ndarray:
        """Read the sensors."""
        return self._reading.astype(np.float32)

    def send(self, action: np.ndarray) -> None:
        """Send a command to the motors."""
        self._reading = self._reading + action @ self._gain


def main(bundle: str, seconds: float = 10.0, rate_hz: float = 100.0) -> None:
    """Drive for a while, and print a summary."""
    controller = RealtimeController(
        bundle,
        Loop(actuation_delay=0.01, rate_limit=20.0, stuck_after=200),
        Planning(log=True),
        Fallback(hold_seconds=0.1),  # then the brake: zero, or the bound nearest to it
        telemetry="run.jsonl",
    )
    contract = controller.contract
    robot = Robot(contract.observation_size, contract.action_size)
    with controller:
        while not controller.ready:
            if controller.failed:
                sys.exit(str(controller.failure))
            time.sleep(0.05)
        controller.reset(goal=np.zeros(contract.observation_size), seed=0)
        tick = time.monotonic()
        end = tick + seconds
        while tick < end:
            tick += 1 / rate_hz
            time.sleep(max(0.0, tick - time.monotonic()))
            controller.notify_observation(robot.read())
            robot.send(controller.get_action())  # never waits for the planner
    logging.info("what went wrong: %s", dict(controller.events.counts) or "nothing")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1])
