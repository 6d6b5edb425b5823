"""Processes that train one model together, one on each machine: how they meet, and what has to be the same in all."""

from __future__ import annotations

import json
import logging
import socket
import time
import zlib
from collections.abc import Mapping
from typing import Any

import jax
from omegaconf import DictConfig

from worldmodel.devices import Devices

from ..records.manifest import versions

_AUTO = "auto"
PATIENCE = 300.0  # seconds for which a process waits for the first one
_LONGEST = 24 * 3600  # seconds for which finished processes wait for the first one, which has the files to write


def join(cfg: DictConfig) -> Devices:
    """Meet the other processes of the settings, if there are any; return the devices of all.

    It comes before anything is computed. Only the first process logs, and it alone writes files.

    Args:
      cfg: the settings of `jepa-mpc train`.

    Raises:
      ValueError: settings that do not fit each other, no cluster that JAX knows, or devices that are not there.
      ConnectionError: the processes did not meet.
    """
    words = cfg.get("distributed") or {}
    coordinator, count, number = (words.get(name) for name in ("coordinator", "processes", "process"))
    if coordinator is None and (count is not None or number is not None):
        raise ValueError(
            "distributed.processes and distributed.process are about processes that meet somewhere: add "
            "distributed.coordinator=HOST:PORT of the first one, the same for all"
        )
    if coordinator is not None and not jax.distributed.is_initialized():
        _meet(str(coordinator), count, number)
        if jax.process_index():
            logging.disable(logging.WARNING)
    return Devices.of(cfg.get("devices", 1))


def _meet(coordinator: str, count: int | None, number: int | None) -> None:
    if coordinator != _AUTO:
        host, _, port = coordinator.rpartition(":")
        if not (host and port.isdigit()):
            raise ValueError(f"distributed.coordinator must be HOST:PORT or auto; got {coordinator!r}")
        if count is None or number is None or number >= count:
            raise ValueError(
                f"distributed.coordinator={coordinator} needs distributed.processes, how many there are, and "
                f"distributed.process, which of them this is, counted from 0; got {count} and {number}"
            )
        if number:
            _wait_for(host, int(port))
    address = None if coordinator == _AUTO else coordinator
    try:
        jax.distributed.initialize(address, count, number, shutdown_timeout_seconds=_LONGEST)
    except ValueError as error:
        raise ValueError(
            f"distributed.coordinator=auto finds no cluster that JAX knows ({error}): start it by srun or mpirun, or "
            "give distributed.coordinator=HOST:PORT, distributed.processes and distributed.process"
        ) from error
    except RuntimeError as error:
        raise ConnectionError(
            f"the processes cannot meet at {coordinator} ({str(error).splitlines()[0]}): see that its port is free"
        ) from error


def _wait_for(host: str, port: int) -> None:
    """Wait for the first process: JAX would end this one without a word to the user."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host.strip("[]"), port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise ConnectionError(
                    f"nobody answers at distributed.coordinator={host}:{port} ({error.strerror or error}): start the "
                    "process with distributed.process=0 there, within five minutes of the others"
                ) from error
            time.sleep(1)


def require_same(devices: Devices, run: Mapping[str, Any]) -> None:
    """Check that all processes are about to train the same.

    Args:
      devices: of all processes.
      run: recipe and identity of the data, as JSON.

    Raises:
      ValueError: they are not.
    """
    found = devices.of_each(zlib.crc32(json.dumps({**run, "versions": versions()}, sort_keys=True).encode()) >> 1)
    if len(set(found)) > 1:
        raise ValueError(
            "the processes have different settings, data or versions of packages: start all of them by the same "
            "command, but for distributed.process, with the same data"
        )
