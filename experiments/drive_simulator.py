"""MuJoCo in a process of its own, stepped at the physics rate, as a robot would be: it never imports JAX.

`Simulator` starts the process (`main`) and talks to it over two pipes, in records of fixed size. In lockstep the
physics wait for an answer at every control instant; in real time they wait for nobody: the last action is held, and a
control instant that has no answer before its deadline is counted as late.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import mujoco
import numpy as np
from numpy import ndarray

import envs
from envs import faults
from envs.mujoco_task import MujocoTask

START = "from experiments.drive_simulator import main; main()"
ACT, RESET, STOP = 0, 1, 2


@dataclass(frozen=True)
class Setup:
    """What is simulated, and how time passes."""

    task: str
    real_time: bool
    delay: float = 0.0  # seconds from an answer to its effect
    deadline: float = 0.0  # seconds in which an answer is in time; only in real time
    fault: str | None = None  # of envs.faults
    fault_at: float = 1.0  # seconds into every episode
    seed: int = 0  # of what the fault draws


@dataclass(frozen=True)
class Seen:
    """What the simulator says after a physics step."""

    episode: int
    tick: int  # physics steps since the episode began
    stamp: float  # seconds, never going back: simulated ones in lockstep, the machine's monotonic clock in real time
    control: bool  # whether this is a control instant, at which the sensors are read
    arrived: bool  # whether what they read reaches the controller
    late: int  # control instants that were answered after their deadline, since the start
    slips: int  # physics steps that began more than a step late, since the start: the machine was busy
    observation: ndarray  # [O] float32
    state: ndarray  # [S] the truth, for scores and pictures only


def seen_type(task: MujocoTask) -> np.dtype:
    """The record behind `Seen`."""
    sensors: Any = task.observation_space.shape
    whole = ("episode", "tick", "late", "slips")
    return np.dtype(
        [(name, "i8") for name in whole]
        + [("stamp", "f8"), ("control", "?"), ("arrived", "?"), ("observation", "f4", sensors)]
        + [("state", "f8", (task.oracle.state_size,))]
    )


def answer_type(task: MujocoTask) -> np.dtype:
    """What the controller says: an action for a tick of an episode, or where the next episode begins."""
    return np.dtype(
        [("kind", "i8"), ("episode", "i8"), ("tick", "i8"), ("action", "f4", (task.oracle.action_size,))]
        + [("state", "f8", (task.oracle.state_size,))]
    )


@final
class Simulator:
    """The other process, from the controller's side.

    Raises:
      ValueError: a task without physics to step, or a fault that it cannot have.
    """

    def __init__(self, setup: Setup):
        task = envs.make(setup.task)
        if not isinstance(task, MujocoTask):
            raise ValueError(f"{setup.task} has no MuJoCo model that could be stepped at the physics rate")
        if task.model.nu == 0:
            raise ValueError(
                f"{setup.task} has no actuators that could be driven at the physics rate: drive another task"
            )
        if setup.fault is not None and setup.fault not in faults.names(task):
            raise ValueError(f"fault={setup.fault} is not known: choose from {', '.join(faults.names(task))}")
        self._seen, self._answer = seen_type(task), answer_type(task)
        self._rest, self._count, self._episode = b"", 0, -1
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(asdict(setup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            bufsize=0,
            start_new_session=True,  # an interrupt at the terminal is the controller's to handle
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def reset(self, state: ndarray) -> None:
        """Begin another episode in `state` [S]; what was seen of earlier ones is not received any more."""
        self._episode += 1
        self._send(RESET, 0, None, state)

    def act(self, action: ndarray, tick: int) -> None:
        """Answer what was seen at `tick` with `action` [A]."""
        self._send(ACT, tick, action, None)

    def receive(self) -> list[Seen]:
        """What has been seen since the last call, at least one record: in real time there may be several.

        Raises:
          ConnectionError: the process has ended.
        """
        size, output = self._seen.itemsize, self._process.stdout
        assert output is not None
        while True:
            data = os.read(output.fileno(), 1 << 16)
            if not data:
                self._ended()
            self._rest += data
            whole = len(self._rest) // size * size
            records, self._rest = np.frombuffer(self._rest[:whole], self._seen), self._rest[whole:]
            found = [self._read(record) for record in records if record["episode"] == self._episode]
            self._count += len(found)
            if found:
                return found

    def close(self) -> None:
        """End the process; closing twice is harmless."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, record: Any) -> Seen:
        values = {name: record[name] for name in self._seen.names or ()}
        numbers = {name: value.item() for name, value in values.items() if value.ndim == 0}
        return Seen(**numbers, observation=values["observation"].copy(), state=values["state"].copy())

    def _send(self, kind: int, tick: int, action: ndarray | None, state: ndarray | None) -> None:
        record = np.zeros((), self._answer)
        record["kind"], record["episode"], record["tick"] = kind, self._episode, tick
        if action is not None:
            record["action"] = action
        if state is not None:
            record["state"] = state
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(record.tobytes())
        except BrokenPipeError:
            self._ended()

    def _ended(self) -> None:
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise ConnectionError(f"the simulator's process {how} after {self._count} physics records: start it again")


@final
class _World:
    """The physics and the sensors, one physics step at a time."""

    def __init__(self, setup: Setup):
        task = envs.make(setup.task)
        assert isinstance(task, MujocoTask)
        self.task, self._setup = task, setup
        self._model, self._data = task.model, mujoco.MjData(task.model)
        self._rng = np.random.default_rng(setup.seed)
        self.timestep, self.substeps = float(task.model.opt.timestep), task.oracle.substeps
        self._broken = False
        self.tick = 0
        self._readings: deque[ndarray] = deque(maxlen=faults.DELAY + 1)

    @property
    def state(self) -> ndarray:
        """The truth, [S]."""
        state = np.empty(self.task.oracle.state_size)
        mujoco.mj_getState(self._model, self._data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        return state

    def reset(self, state: ndarray) -> None:
        """Whole again, in `state`."""
        self._model, self._broken, self.tick = self.task.model, False, 0
        self._data = mujoco.MjData(self._model)
        self._readings.clear()
        self._place(state)

    def step(self, action: ndarray) -> None:
        """One physics step with an action [A] on the actuators."""
        due = self._setup.fault is not None and self.tick * self.timestep >= self._setup.fault_at - 1e-9
        if due and not self._broken and self.tick % self.substeps == 0:
            self._break()
        self._data.ctrl[:] = action
        limit = self.task.oracle.velocity_limit
        if limit is not None:
            np.clip(self._data.qvel, -limit, limit, out=self._data.qvel)
        mujoco.mj_step(self._model, self._data)
        self.tick += 1

    def sense(self) -> tuple[ndarray, bool]:
        """What the sensors read now, and whether it reaches anybody."""
        fault = self._setup.fault if self._broken else None
        if fault == "frozen_sensor":
            return self._readings[-1], True
        self._readings.append(self.task.observe(self.state))
        if fault == "nan_sensor":
            return np.full_like(self._readings[-1], np.nan), True
        if fault == "delayed_observations":
            return self._readings[0], True
        return self._readings[-1], fault != "dropped_observations"

    def _break(self) -> None:
        fault, state = self._setup.fault, self.state
        assert fault is not None
        self._broken = True
        if fault == "teleport":
            self._place(faults.elsewhere(self.task, state, self._rng))
        self._model = faults.broken_model(self.task, fault, state)

    def _place(self, state: ndarray) -> None:
        mujoco.mj_setState(self._model, self._data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))


@final
class _Server:
    """The loop of the process: records out, answers in, physics between."""

    def __init__(self, setup: Setup, source: int, sink: int):
        self._setup, self._world = setup, _World(setup)
        self._source, self._sink, self._rest = source, sink, b""
        task = self._world.task
        self._seen, self._answer = seen_type(task), answer_type(task)
        self._rest_action = np.clip(np.zeros(task.oracle.action_size), task.oracle.action_low, task.oracle.action_high)
        self._episode, self._late, self._slips, self._elapsed = -1, 0, 0, 0
        self._arrived: deque[tuple[float, ndarray]] = deque()  # when it takes effect, and what
        self._applied = self._rest_action
        self._sent: dict[int, float] = {}  # control instants that wait for an answer, and when they were told

    def serve(self) -> None:
        """Until nobody listens any more."""
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
            self._applied = self._arrived.popleft()[1]
        self._world.step(self._applied)
        self._elapsed += 1

    def _send(self, stamp: float, control: bool) -> None:
        record, world = np.zeros((), self._seen), self._world
        if control:
            record["observation"], record["arrived"] = world.sense()
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
                return  # nobody reads: the robot goes on
        os.write(self._sink, record.tobytes())

    def _take(self, timeout: float | None, now: float | None = None) -> None:
        """Read answers: wait for one for so long, or for ever."""
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
                self._applied = self._rest_action
            elif record["episode"] == self._episode:
                moment = time.monotonic() if now is None else now
                self._judge(int(record["tick"]), moment)
                self._arrived.append((moment + self._setup.delay, record["action"].astype(np.float64)))

    def _judge(self, tick: int, moment: float) -> None:
        """An answer to a later moment stands for those before it."""
        for waiting in [each for each in self._sent if each <= tick]:
            self._late += moment - self._sent.pop(waiting) > self._setup.deadline


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate what the first argument says, in JSON, with the controller at standard input and output."""
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between our records
    setup = Setup(**json.loads((arguments or sys.argv[1:])[0]))
    try:
        _Server(setup, 0, output).serve()
    except BrokenPipeError:
        sys.exit(0)
