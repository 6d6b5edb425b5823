"""Steps on a real Ray cluster, whose nodes are processes of this machine."""

import os
import signal
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from omegaconf import OmegaConf, open_dict

from envs.dataset_folder import DATA_FILE
from experiments.engine import on_node, ray_cluster
from experiments.engine.job import Job
from experiments.engine.ray_cluster import RayConfig, check_room
from experiments.records.results import read_csv

sys.path.insert(0, str(Path(__file__).parent))
import collecting  # noqa: E402
import toy  # noqa: E402

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes of one core each."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE, ROOT))))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster

        found = Cluster()
        warnings.filterwarnings("ignore", message=r"os\.fork", category=RuntimeWarning)  # JAX's, of Ray's own programs
        small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 8 * 2**30}
        for _ in range(2):
            found.add_node(**small)
        found.small = small
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.fixture
def settings(tmp_path, monkeypatch, nodes):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE, ROOT))))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attempts").mkdir()

    def of(rows=2, artifacts="shared", **faults):
        engine = {"name": "ray", "address": nodes.address, "artifacts": artifacts, "cores": 1}
        return OmegaConf.create(
            {
                "engine": {**engine, "gpus": 0, "memory_gib": 0.5, "retries": 3},
                "suite": {"name": "toy", "rows": rows, "attempts": str(tmp_path / "attempts"), "faults": faults},
                "runs": "runs",
                "results": "bench",
                "dry_run": False,
            }
        )

    return of


@pytest.mark.parametrize("artifacts", ["shared", "store"])
def test_a_cluster_measures_what_this_machine_does(settings, tmp_path, artifacts):
    there = toy.run(settings(artifacts=artifacts))
    assert (tmp_path / "runs" / "data-1.txt").read_text() == "6"
    (tmp_path / "bench").rename(tmp_path / "there")
    cfg = settings()
    with open_dict(cfg):
        cfg.engine = {"name": "local", "workers": 1, "apart": False, "cores": 1, "retries": 0}
    assert sorted(there, key=lambda row: row.seed) == toy.run(cfg)


@pytest.mark.parametrize("artifacts", ["shared", "store"])
def test_a_dataset_is_collected_in_shards(settings, tmp_path, artifacts):
    cfg = settings(artifacts=artifacts)
    cfg.engine.collection_shards = 2
    cfg.suite = {"name": "collecting", "recipe": ["collection.episodes=5", "collection.steps=20"]}
    there = collecting.run(cfg)
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == ["engine", there.name]
    here = OmegaConf.merge(cfg, {"runs": "here", "engine": {"name": "local", "workers": 1, "apart": False}})
    here.engine.collection_shards = 1
    assert arrays(collecting.run(here)) == arrays(there)


def arrays(path):
    with h5py.File(path / DATA_FILE, "r") as file:
        return [(episode, file[episode]["infos/state"][()].tobytes()) for episode in file]


def test_what_fails_is_named_and_others_go_on(settings, tmp_path, caplog):
    with pytest.raises(SystemExit):
        toy.run(settings(**{"data 1": "raise", "row 0": "killed once"}))
    assert [row.seed for row in read_csv(tmp_path / "bench" / "toy.csv")] == [0]
    assert "failed: row 1 (it needs data 1, which failed)" in caplog.text
    assert len((tmp_path / "attempts" / "row 0").read_text()) == 2


def test_a_node_that_disappears_loses_nothing(settings, tmp_path, nodes):
    """All workers of a node die with it while their steps run."""
    cfg = settings(**{"row 1": "sleep once"})
    asleep = tmp_path / "attempts" / "row 1"

    def remove():
        while not asleep.exists():
            time.sleep(0.05)
        for each in list(nodes.worker_nodes):
            nodes.remove_node(each, allow_graceful=False)
        for process in Path("/proc").glob("[0-9]*"):  # the head node stays: where the step runs there, it is killed
            if b"experiments.one_step" in _command(process) and b"row 1" in _command(process):
                os.kill(int(process.name), signal.SIGKILL)

    thread = threading.Thread(target=remove)
    thread.start()
    rows = toy.run(cfg)
    thread.join()
    assert sorted(row.seed for row in rows) == [0, 1]
    assert len(asleep.read_text()) == 2


def _command(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def order(token, folder, versions=None):
    job = Job("toy", {"runs": "runs", "results": "bench"}, "toy")
    return on_node.Order(job, "row 0", 1, versions or on_node.versions(), folder, token)


def test_a_machine_with_another_version_is_named():
    ended = on_node.execute(order(("token", "x"), ".", ("3.8", "0.0.1"))).outcome
    assert "Python 3.8 with jepa-mpc 0.0.1: install the same" in ended.reason and not ended.again


def test_a_folder_that_is_not_shared_is_named(tmp_path):
    ended = on_node.execute(order(("token", "x"), str(tmp_path))).outcome
    assert f"does not see {tmp_path}" in ended.reason and "engine.artifacts=store" in ended.reason


def test_a_step_that_fits_no_machine_is_named():
    two = [{"CPU": 1.0, "memory": 8.0 * 2**30}] * 2  # two cores in all, and no machine with both
    small = RayConfig(None, "shared", cores=1, gpus=0, memory_gib=8, retries=0)
    check_room(two, small)
    for asked in ({"cores": 2}, {"gpus": 1.0}, {"memory_gib": 9.0}):
        with pytest.raises(ValueError, match=r"no machine of the cluster has them \(1 cores, 0 GPUs, 8.0 GiB; "):
            check_room(two, replace(small, **asked))


def test_rows_that_cannot_travel_are_refused(tmp_path):
    config = RayConfig(None, "store", cores=1, gpus=0, memory_gib=1, retries=0)
    job = Job("toy", {"runs": "runs", "results": "bench"}, "toy")
    with pytest.raises(ValueError, match="engine.artifacts=shared"):
        ray_cluster.run(job, [], config, tmp_path, None, {}, print)


def test_a_cluster_that_cannot_be_reached_is_named(monkeypatch):
    """Ray itself tries for a minute before it says so."""
    import ray

    def unreachable(**settings):
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", unreachable)
    with (
        pytest.raises(ValueError, match=r"engine.address=10.0.0.1:6379 .*ray start --head"),
        ray_cluster.cluster("10.0.0.1:6379"),
    ):
        pass


def test_a_missing_ray_is_named_with_the_fix(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'jepa-mpc\[ray\]'"), ray_cluster.cluster(None):
        pass
