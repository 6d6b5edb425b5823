from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments.bench.latency import rows as latency_table
from experiments.bench.latency.rows import LatencyRow
from experiments.bench.planners import rows as planners_table
from experiments.bench.planners.rows import Entry, Run
from experiments.records import results
from experiments.records.file_lock import locked

ROOT = Path(__file__).parents[3]

WRITERS = {
    "rows": """
import sys
from pathlib import Path
from experiments.records.results import Row, append_csv
path, seed = Path(sys.argv[1]), int(sys.argv[2])
for step in range(15):
    append_csv(path, [Row(task=f"task{step}", seed=seed)], {"seed": seed})
""",
    "values": """
import sys
from pathlib import Path
from experiments.records.results import Value, append_values
path, seed = Path(sys.argv[1]), int(sys.argv[2])
for step in range(15):
    append_values(path, [Value(f"{seed} {step}", 1.0, "s")], {"command": str(seed)})
""",
}


@pytest.mark.parametrize("kind", WRITERS)
def test_processes_that_write_one_table_lose_no_row(tmp_path: Path, kind: str) -> None:
    """Each has a temporary folder of its own, as containers do."""
    path = tmp_path / "table.csv"
    processes = []
    for seed in range(4):
        (tmp_path / f"tmp{seed}").mkdir()
        environment = {**os.environ, "TMPDIR": str(tmp_path / f"tmp{seed}"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", WRITERS[kind], str(path), str(seed)]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    if kind == "rows":
        found = {(row.task, row.seed) for row in results.read_csv(path)}
        assert found == {(f"task{step}", seed) for seed in range(4) for step in range(15)}
        assert len(results.read_manifests(path)) == 60
    else:
        assert len(path.read_text().splitlines()) == 61
    assert not list(tmp_path.glob(".*")), "no lock is left behind"


def test_threads_wait_for_each_other_too(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "new" / "table.csv", [], []

    def work(index: int) -> None:
        with locked(path):
            inside.append(index)
            most.append(len(inside))
            inside.remove(index)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert most == [1] * 200


def test_a_lock_that_a_killed_process_left_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    code = f"""
import os, signal
from pathlib import Path
from experiments.records.file_lock import locked
with locked(Path({str(path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert list(tmp_path.iterdir()), "the test must leave a lock"
    with locked(path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named() -> None:
    expected = pytest.raises(
        OSError, match=r"/proc/self/table.csv cannot be locked \(.*\): choose a folder that you may"
    )
    with expected, locked(Path("/proc/self/table.csv")):
        raise AssertionError


def test_a_suite_that_runs_for_hours_keeps_what_others_added_meanwhile(tmp_path: Path) -> None:
    sizes = {"horizon": 2, "iterations": 2, "latent_dim": 4, "width": 8, "batch": 1}
    times = {"p50_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0, "gflops": 1.0, "sgemm_share": 0.1, "compile_s": 1.0}
    path = tmp_path / "latency.csv"
    for samples in (16, 32, 16):
        row = LatencyRow(planner="cem", num_samples=samples, **sizes, **times, command="x")
        details = [{"identity": list(row.identity())}]
        latency_table.write(path, [row], [{"manifest": {"number": samples}, "rows": details}])
    rows = latency_table.read(path)
    assert sorted(each.num_samples for each in rows) == [16, 32]
    assert sorted(each["manifest"]["number"] for each in latency_table.read_manifests(path, rows)) == [16, 32]


def test_a_table_of_planners_keeps_the_runs_of_others(tmp_path: Path) -> None:
    path = tmp_path / "planners.csv"
    for seed in (0, 1, 0):
        run = Run(
            task="two_room",
            policy="model",
            planner="cem",
            seed=seed,
            plan_budget=64,
            evaluations=64,
            num_samples=32,
            iterations=2,
            budget=30,
            settings="CEM()",
            steps=(3, None),
            plan_ms_p50=None,
        )
        planners_table.add(path, Entry({"command": f"seed {seed}"}, (run,)), {})
    assert [row.seed for row in planners_table.read(path)] == [0, 1]
    assert sorted(each.manifest["command"] for each in planners_table.read_entries(path)) == ["seed 0", "seed 1"]
