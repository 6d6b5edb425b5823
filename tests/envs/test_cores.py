import os

import pytest

import envs
from envs import cores
from envs.cores import available_cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no process on cores")
def test_a_process_counts_the_cores_that_it_is_kept_on(monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {3, 5, 6})
    assert available_cores() == 3
    for given, known in (("2", 2), ("8", 3), ("0", 1), ("", 3), ("many", 3)):
        monkeypatch.setenv("NPROC", given)
        assert available_cores() == known


def test_a_process_of_one_core_rolls_out_in_one_thread(monkeypatch):
    monkeypatch.setenv("NPROC", "1")
    assert envs.make("two_room").physics.threads == 1
