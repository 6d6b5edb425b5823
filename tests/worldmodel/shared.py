"""A process of the tests of `worldmodel.devices`: it trains on the devices that it finds, and keeps what came out.

Its words: the folder, how many processes there are, the number of this one, and the port where they meet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np

from worldmodel.data.frame_windows import FrameWindows
from worldmodel.devices import ONE, Devices
from worldmodel.models.checkpoint import load_training
from worldmodel.types import Windows

from .small import pictured, trainer

SETTINGS = {"updates": 4, "frozen_updates": 1, "updates_per_call": 1}
BEGUN = 3  # updates before the one whose gradients are compared


def numbers(tree: object) -> np.ndarray:
    """All of a tree's numbers in a row."""
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])


def windows(devices: Devices) -> Windows:
    """Windows with pictures of two updates."""
    sampler = FrameWindows.of(pictured([20] * 3), 2, 3, 2)
    return sampler.batches(jax.random.key(3), jax.numpy.int32(5), 2, 16, 8, devices)


def main(folder: Path, processes: int, number: int, port: int) -> None:
    """Train from the stored state on, in the first process alone; the others are given its state."""
    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, number)
    devices, found = Devices.of(), dict[str, np.ndarray]()
    run = trainer(devices=devices, **SETTINGS)
    state = run.init()
    if number == 0:
        state, _ = load_training(folder / "begun.safetensors", state, {})

    def after(state, metrics):
        if int(state.update) == BEGUN + 1:
            found.update(optimizer=numbers(state.optimizers["joint"]), **{k: np.asarray(v) for k, v in metrics.items()})
        found["numbers"] = np.asarray(devices.of_each(10 + number))
        found["weights"] = numbers(state.params)

    run.train(state, after)
    if processes == 1:
        split, whole = windows(devices), windows(ONE)
        assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(split)} == {jax.device_count()}
        found |= {"split": numbers(split), "whole": numbers(whole)}
        try:
            trainer(devices=devices, **SETTINGS, batch=33)
        except ValueError as error:
            found["refused"] = np.asarray(str(error))
    np.savez(folder / f"{processes}-{number}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
