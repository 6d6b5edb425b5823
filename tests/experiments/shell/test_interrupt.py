"""Ctrl-C on a real process, at several moments: exit code 130, one sentence, no traceback, and nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SENTENCE = "jepa-mpc: interrupted; every file that was complete is kept\n"
# A computation in C, which leaves the interpreter alone for minutes, as XLA does while it compiles; and a child.
BLOCKED = """
import hashlib, subprocess, sys
from experiments.shell import interrupt
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
interrupt.watch()
try:
    print(child.pid, flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
except KeyboardInterrupt:  # before the computation began: as the command line answers it
    interrupt.leave()
"""
PROMISED, BUSY = 2.0, 4.0  # seconds; and what a busy machine may add


def start(folder, *command):
    """The command in a session of its own, whose processes are all interrupted together, as at a terminal."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder), "PYTHONPATH": os.getcwd()}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(process):
    """What it wrote on standard error; it has ended in time, with the code of an interrupt."""
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, told = process.communicate(timeout=60)
    seconds = time.monotonic() - began
    assert process.returncode == 130, told
    assert seconds < PROMISED + BUSY
    return told


def test_what_python_cannot_interrupt_is_ended_with_its_children(tmp_path):
    process = start(tmp_path, "-c", BLOCKED)
    child = int(process.stdout.readline())
    assert interrupted(process) == SENTENCE
    with pytest.raises(ProcessLookupError):
        while True:  # it is gone as soon as its new parent has asked for its exit code
            if "\nState:\tZ" in status(child):
                raise ProcessLookupError
            os.kill(child, 0)


def members(group):
    """The processes of a group that still run, by their ids."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # gone meanwhile
            continue
        if of == str(group) and state != "Z":
            found.append(file.parent.name)
    return found


def status(process):
    try:
        with open(f"/proc/{process}/status") as file:
            return file.read()
    except FileNotFoundError as error:
        raise ProcessLookupError from error


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["plan", "checkpoint=published", "policies=[model]", "budget=smoke"],
        ["train", "budget=smoke"],
        ["drive", "checkpoint=published", "task=reacher", "episodes=20"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("after", [1.0, 3.0, 6.0, 10.0, 16.0, 25.0])  # importing, collecting, compiling, running
def test_a_command_ends_at_any_moment(tmp_path, words, after):
    with start(tmp_path, "-m", "experiments.cli", *words) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            said = interrupted(process)
            assert said.endswith(SENTENCE) and "Traceback" not in said
    assert members(process.pid) == []
