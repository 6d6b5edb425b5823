import os
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from planning.control import Bundle
from planning.control.bundle.file import read

from ..loops import make_engine


@pytest.fixture(scope="module")
def bundle():
    """One without programs: it can be written and taken apart, and nothing has to be compiled."""
    return Bundle(make_engine().contract, {"weights": np.ones(5000, np.float32)}, (), {})


def test_threads_that_save_to_one_path_all_succeed(bundle, tmp_path):
    path = tmp_path / "point.bundle"
    bundle.save(path)
    variants = [replace(bundle, agent={"weights": np.full(5000, value, np.float32)}) for value in range(4)]

    def save(index):
        variants[index % 4].save(path)
        _, tensors = read(path.read_bytes())  # raises where the hash is another one
        return len(set(tensors["agent/weights"].tolist()))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(save, range(200))) == {1}
    assert os.listdir(tmp_path) == ["point.bundle"]


def test_a_saved_bundle_is_synced_and_a_failed_save_changes_nothing(bundle, tmp_path, monkeypatch):
    path, synced, real = tmp_path / "new" / "point.bundle", [], os.fsync

    def fsync(descriptor):
        real(descriptor)
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))

    monkeypatch.setattr(os, "fsync", fsync)
    bundle.save(path)
    assert synced == [False, True]
    content = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # fails where a full disk does
    try:
        with pytest.raises(OSError, match=r"point.bundle could not be written \(File too large\)"):
            bundle.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == content and os.listdir(path.parent) == ["point.bundle"]
