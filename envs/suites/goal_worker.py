"""Worker process of `goal_workers`: requests arrive on its standard input, answers go to its standard output."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import BinaryIO

import gymnasium
from gymnasium.envs.registration import EnvSpec

from ..pipes import read, receive, send
from .goal_simulators import simulator


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Step the requested states. Raises EOFError when the requests end."""
    head = json.loads(read(requests))
    env = gymnasium.make(EnvSpec.from_json(head["spec"]), disable_env_checker=True)
    own = simulator(head["name"], env)
    while True:
        states, actions = receive(requests), receive(requests)
        send(answers, own.simulate(states, actions))


if __name__ == "__main__":
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps an environment's prints out of the answers
    with contextlib.suppress(EOFError, BrokenPipeError):
        serve(sys.stdin.buffer, pipe)
