"""What a model expects to see, found in a process of its own: the control loop neither waits for it nor computes it.

The process imagines with the planner's own engine, and answers with numbers of remembered moments: those whose latents
are nearest to what is expected now, and at the end of the plan.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs.pipes import end, receive, send
from planning.control.engine.embedding import embedding
from planning.control.engine.interface import Engine, take_in
from planning.control.engine.readings import Fault, read
from planning.control.worker.recipe import make_engine
from worldmodel.observation import ObservationSpec

from ...pictures.memory import Memory

logger = logging.getLogger(__name__)

UNKNOWN = -1  # in place of the number of a remembered moment
START = "from experiments.driving.view.expectation import main; main()"
_NICE = 10  # the planner and the loop come first


class Imagination:
    """Expected latents, by an engine, as numbers of remembered moments.

    Args:
      engine: of the planner.
      memory: of its model.
    """

    def __init__(self, engine: Engine, memory: Memory):
        self._engine, self._memory, self._contract = engine, memory, engine.contract
        self._embed = embedding(engine)
        self._begun = engine.begin(np.zeros(self._contract.embedding_size, np.float32), 0, 0)

    def expected(
        self, window: Sequence[Mapping[str, Any]], executed: Float[ndarray, "K A"], plan: Float[ndarray, "T A"]
    ) -> tuple[int, int]:
        """Return the remembered moments nearest to what is expected now, and at the end of the plan.

        Args:
          window: the last observations, one control period apart, newest last: P + K of them to expect anything now.
          executed: the last actions; NaN: unknown.
          plan: the rest of the plan, from now on.
        """
        history, block = self._contract.history, self._contract.action_block
        rows = [row for each in window if (row := self._row(each)) is not None]
        now = later = UNKNOWN
        if len(rows) == history + block and np.isfinite(executed).all():
            now = self._nearest(self._engine.predict(self._root(rows[:history]), executed))
        if rows and len(plan) >= block:
            latent = self._root(rows[-history:])
            for begin in range(0, len(plan) - block + 1, block):
                latent = self._engine.predict(latent, plan[begin : begin + block])
            later = self._nearest(latent)
        return now, later

    def _row(self, observation: Mapping[str, Any]) -> ndarray | None:
        found = read(observation, self._contract.observation, None)
        return None if isinstance(found, Fault) else self._embed(found.others, found.row)

    def _root(self, rows: Sequence[ndarray]) -> ndarray:
        return self._engine.root(take_in(self._engine, self._begun, np.stack(rows)))

    def _nearest(self, latent: ndarray) -> int:
        return self._memory.nearest(np.asarray(latent))


@final
class Expectation:
    """The process, from outside. No method waits for it, but for the bytes of an answer that has begun to arrive.

    Args:
      planner: description of the planner's engine, as in `planning.control.Recipe.spec`.
      memory: file of the model's memory.
    """

    def __init__(self, planner: Mapping[str, Any], memory: Path):
        arguments = json.dumps({"planner": planner, "memory": str(memory.resolve())})
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-P", "-c", START, arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # the loop handles an interrupt at the terminal
        )
        self._idle = False  # its first answer says that everything is compiled

    @property
    def idle(self) -> bool:
        """Whether it can take a question."""
        return self._process is not None and self._idle

    def ask(self, window: Sequence[Mapping[str, Any]], executed: ndarray, plan: ndarray) -> None:
        """Ask what `Imagination.expected` answers; only while `idle`."""
        assert self._process is not None
        try:
            names = sorted(window[0])
            send(self._process.stdin, np.array(names), executed, plan)
            send(self._process.stdin, *(np.stack([each[name] for each in window]) for name in names))
            self._idle = False
        except OSError:
            self._lost()

    def answer(self) -> tuple[int, int] | None:
        """Return an answer that has arrived, or None."""
        if self._process is None or self._process.stdout is None:
            return None
        if not select.select([self._process.stdout], [], [], 0)[0]:
            return None
        try:
            now, later = receive(self._process.stdout).tolist()
        except (EOFError, OSError, ValueError):
            self._lost()
            return None
        self._idle = True
        return now, later

    def close(self) -> None:
        """End the process; closing twice is harmless."""
        if self._process is not None:
            end([self._process])
            self._process = None

    def __enter__(self) -> Expectation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lost(self) -> None:
        self.close()
        logger.warning("the process that finds what the model expects has ended: the page shows the camera alone")


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer questions from stdin on stdout, until it is closed."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    os.nice(_NICE)
    given = json.loads((arguments or sys.argv[1:])[0])
    engine = make_engine(given["planner"])
    contract = engine.contract
    spec = ObservationSpec.of(contract.observation.sensors)
    imagination = Imagination(engine, Memory.load(Path(given["memory"]), spec, contract.latent_size))
    moment = {each.name: np.zeros(each.shape, each.dtype) for each in spec.sensors}
    for camera in spec.pictures:
        moment[camera.name][0] = 1  # a picture of one colour would be refused
    actions = np.zeros((contract.action_block, contract.action_size), np.float32)
    imagination.expected([moment] * (contract.history + contract.action_block), actions, actions)  # compiles
    try:
        send(output, np.array([UNKNOWN, UNKNOWN]))
        while True:
            names = receive(sys.stdin.buffer).tolist()
            executed, plan = receive(sys.stdin.buffer), receive(sys.stdin.buffer)
            values = {name: receive(sys.stdin.buffer) for name in names}
            window = [{name: each[index] for name, each in values.items()} for index in range(len(values[names[0]]))]
            send(output, np.array(imagination.expected(window, executed, plan)))
    except (EOFError, BrokenPipeError):
        return
