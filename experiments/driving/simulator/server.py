"""The main loop of the simulator process: records go out, answers come in, physics step in between."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy import ndarray

from .messages import ACT, RESET, Setup, answer_type, seen_type, write_observation
from .world import World


@final
class Server:
    """The loop of the process: records out, answers in, physics between."""

    def __init__(self, setup: Setup, source: int, sink: int):
        self._setup, self._world = setup, World(setup)
        self._source, self._sink, self._rest = source, sink, b""
        task = self._world.task
        self._seen, self._answer = seen_type(task), answer_type(task)
        self._rest_action = np.clip(
            np.zeros(task.physics.action_size), task.physics.action_low, task.physics.action_high
        )
        self._episode, self._late, self._slips, self._elapsed = -1, 0, 0, 0
        self._arrived: deque[tuple[float, ndarray]] = deque()  # time of effect, and action
        self._applied = self._rest_action
        self._sent: dict[int, float] = {}  # control instants waiting for an answer, and their send times

    def serve(self) -> None:
        """Serve until the controller closes the pipe."""
        while self._episode < 0:
            self._take(None)
        while True:
            if self._setup.real_time:
                self._episode_in_real_time(self._episode)
            else:
                self._episode_in_lockstep(self._episode)

    def _episode_in_lockstep(self, episode: int) -> None:
        world, dt = self._world, self._world.timestep
        while True:
            control, now = world.tick % world.substeps == 0, self._elapsed * dt
            if control:
                self._send(now, control)
                answered = len(self._arrived)
                while len(self._arrived) == answered and self._episode == episode:
                    self._take(None, now)
                if self._episode != episode:
                    return
            self._advance(now)

    def _episode_in_real_time(self, episode: int) -> None:
        world, dt, began = self._world, self._world.timestep, time.monotonic()
        while True:
            due = began + world.tick * dt
            while (left := due - time.monotonic()) > 0:
                self._take(left)
                if self._episode != episode:
                    return
            self._take(0.0)
            if self._episode != episode:
                return
            self._slips += time.monotonic() - due > dt
            self._send(due, world.tick % world.substeps == 0)
            self._advance(due)

    def _advance(self, now: float) -> None:
        while self._arrived and self._arrived[0][0] <= now + 0.5 * self._world.timestep:
            self._act(self._arrived.popleft()[1])
        self._world.step()
        self._elapsed += 1

    def _send(self, stamp: float, control: bool) -> None:
        record, world = np.zeros((), self._seen), self._world
        if control:
            observation, record["arrived"] = world.sense()
            write_observation(record, observation)
        for name, value in {
            "episode": self._episode,
            "tick": world.tick,
            "stamp": stamp,
            "control": control,
            "late": self._late,
            "slips": self._slips,
            "state": world.state,
        }.items():
            record[name] = value
        if self._setup.real_time:
            if control:
                self._sent[world.tick] = time.monotonic()
            if not select.select([], [self._sink], [], 0.0)[1]:
                return  # no reader: the robot continues
        os.write(self._sink, record.tobytes())

    def _take(self, timeout: float | None, now: float | None = None) -> None:
        """Read answers, waiting for one up to the timeout in seconds, or without limit."""
        if not select.select([self._source], [], [], timeout)[0]:
            return
        data = os.read(self._source, 1 << 16)
        if not data:
            sys.exit(0)
        self._rest += data
        whole = len(self._rest) // self._answer.itemsize * self._answer.itemsize
        records, self._rest = np.frombuffer(self._rest[:whole], self._answer), self._rest[whole:]
        for record in records:
            if record["kind"] == RESET:
                self._episode = int(record["episode"])
                self._world.reset(record["state"])
                self._arrived.clear()
                self._sent.clear()
                self._act(self._rest_action)
            elif record["kind"] != ACT:
                raise ValueError(f"a record of kind {int(record['kind'])} came: the stream is out of step")
            elif record["episode"] == self._episode:
                moment = time.monotonic() if now is None else now
                self._judge(int(record["tick"]), moment)
                self._arrived.append((moment + self._setup.delay, self._valid(record["action"])))

    def _act(self, action: ndarray) -> None:
        """Let an action take effect."""
        self._applied = action
        self._world.command(action)

    def _valid(self, action: ndarray) -> ndarray:
        """Return the action, or the previous one if it is not finite, as a motor drive does without a valid command."""
        if np.isfinite(action).all():
            return action.astype(np.float64)
        return self._arrived[-1][1] if self._arrived else self._applied

    def _judge(self, tick: int, moment: float) -> None:
        """Count late answers; an answer to a later instant also covers the earlier ones."""
        for waiting in [each for each in self._sent if each <= tick]:
            self._late += moment - self._sent.pop(waiting) > self._setup.deadline


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate the `Setup` given as JSON in the first argument, connected to the controller by stdin and stdout."""
    output = os.dup(1)
    os.dup2(2, 1)  # output printed by a library must not get between our records
    setup = Setup(**json.loads((arguments or sys.argv[1:])[0]))
    try:
        Server(setup, 0, output).serve()
    except BrokenPipeError:
        sys.exit(0)
