"""Batches split over simulated devices, and over two processes: the same updates as on one device."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.devices import ONE, Devices
from worldmodel.models.checkpoint import save_training

from .shared import BEGUN, SETTINGS, numbers
from .small import trainer

ROOT = Path(__file__).parents[2]
RATE = 2e-3
PATIENCE = 1800  # seconds until a process counts as stuck, on a machine that is busy with other things
DECAY = 0.9  # of Adam's mean gradient


def started(folder: Path, devices: int, *words: int) -> subprocess.Popen[str]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-m", "tests.worldmodel.shared", str(folder), *map(str, words)]
    environment = {**os.environ, "XLA_FLAGS": flags}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def results(folder: Path, devices: int, processes: int) -> list[dict[str, np.ndarray]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    team = [started(folder, devices, processes, number, port) for number in range(processes)]
    try:
        for each in team:
            said, _ = each.communicate(timeout=PATIENCE)
            assert each.returncode == 0, said
    finally:
        for each in team:
            each.kill()
    return [dict(np.load(folder / f"{processes}-{number}.npz")) for number in range(processes)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("devices")


@pytest.fixture(scope="module")
def alone(folder):
    """One device: the mean gradients before an update, its metrics, those after it, and the weights at the end."""
    run, found = trainer(**SETTINGS), {}

    def after(state, metrics):
        if int(state.update) == BEGUN:
            found["before"] = numbers(state.optimizers["joint"])
            save_training(folder / "begun.safetensors", state, {}, {})
        if int(state.update) == BEGUN + 1:
            found.update(optimizer=numbers(state.optimizers["joint"]), metrics=metrics)

    final = run.train(run.init(), after)
    return {**found, "weights": numbers(final.params)}


@pytest.fixture(scope="module")
def eight(alone, folder):
    return results(folder, 8, 1)[0]


@pytest.fixture(scope="module")
def two(alone, folder):
    return results(folder, 1, 2)


def require_same_update(shared, alone):
    for name, value in alone["metrics"].items():
        np.testing.assert_allclose(shared[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    # Adam keeps means of gradients and of their squares; both differ by no more than the gradients do.
    np.testing.assert_allclose(shared["optimizer"], alone["optimizer"], rtol=0, atol=1e-5 * (1 - DECAY))
    assert np.abs(alone["optimizer"] - alone["before"]).max() > 1e-3


def require_same_end(shared, alone):
    """The rounding decides the sign of a gradient that is zero but for it, and Adam takes a whole step for it."""
    apart = np.abs(shared["weights"] - alone["weights"])
    assert np.quantile(apart, 0.95) < 1e-5 and apart.max() < 4 * RATE


def test_eight_devices_make_the_update_of_one(eight, alone):
    require_same_update(eight, alone)
    require_same_end(eight, alone)


def test_two_processes_make_the_update_of_one_from_the_state_of_the_first(two, alone):
    for each in two:
        require_same_update(each, alone)
        require_same_end(each, alone)
        np.testing.assert_array_equal(each["numbers"], [10, 11])
    np.testing.assert_array_equal(two[0]["weights"], two[1]["weights"])


def test_pictures_are_split_as_they_would_be_on_one_device(eight):
    np.testing.assert_array_equal(eight["split"], eight["whole"])


def test_a_batch_that_cannot_be_split_evenly_is_refused(eight):
    said = str(eight["refused"])
    assert said.startswith("training.batch must be a multiple of the 8 devices that share each batch; got 33: take 40")


def test_one_device_has_no_mesh_and_leaves_everything_where_it_is():
    assert Devices.of() == Devices.of(1) == ONE
    tree = {"a": jnp.arange(3)}
    assert ONE.on_all(tree) is tree and ONE.local(tree) is tree and ONE.split(tree) is tree
    assert ONE.of_first(tree) is tree and ONE.split_batches(tree) is tree and ONE.agreed(7) == 7
    ONE.check({"training.batch": 33})
    with pytest.raises(ValueError, match="devices=64 asks for more devices than the 1 that there are"):
        Devices.of(64)
    assert jax.device_count() == 1
