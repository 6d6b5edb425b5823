import pytest

from experiments import build
from experiments.bench.robot.storm import FAILURES, Storm, run


def test_a_planner_process_in_a_storm_disturbs_nobody_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    with Storm(seed=0, log=tmp_path / "storm.jsonl") as storm:
        for kind in ("stop", "kill", "pause", "ready", "resume", "threads", "stop", "kill", "pause", "resume"):
            storm.cycle(kind)
    assert {name: storm.counts[name] for name in FAILURES} == dict.fromkeys(FAILURES, 0)
    assert storm.counts["planned"] == 2 and storm.counts["sigkill"] and storm.counts["sigstop"]


def test_a_mix_of_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="mix give shares of kill, pause"):
        run(build.compose("bench", "suite=storm", "+suite.mix.explode=1"))
