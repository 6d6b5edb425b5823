import pytest

from experiments import build
from experiments.bench.robot import start
from experiments.commands import bench
from experiments.records.results import Value


def test_a_start_that_fails_is_told(tmp_path):
    broken = tmp_path / "broken.bundle"
    broken.write_bytes(b"no bundle")
    with pytest.raises(RuntimeError, match="BundleError"):
        start.seconds(broken)


def test_the_first_start_is_cold_and_the_median_of_the_others_warm(tmp_path, monkeypatch):
    class Exported:
        def save(self, path):
            path.write_bytes(b"0" * 2_000_000)

    times = iter([9.0, 3.0, 1.0, 2.0])
    monkeypatch.setattr(start, "ensure_model", lambda cfg, seed: None)
    monkeypatch.setattr(start, "make_bundle", lambda cfg, checkpoint: Exported())
    monkeypatch.setattr(start, "seconds", lambda bundle: next(times))
    values = bench.run(build.compose("bench", "suite=start", "suite.repeats=3", f"results='{tmp_path}'"))
    assert values == [
        Value("start_to_ready_cold_s", 9.0, "s"),
        Value("start_to_ready_s", 2.0, "s"),
        Value("bundle_mb", 2.0, "MB"),
    ]
    assert "start_to_ready_s,2,s" in (tmp_path / "robot_loop.csv").read_text()
