import csv

import jax
import pytest

from experiments import build
from experiments.bench.latency import overhead, points
from experiments.bench.latency.points import Point
from experiments.commands import bench
from experiments.records.results import Value
from planning import CEM, Agent


@pytest.fixture
def agent():
    planner = CEM(num_samples=8, num_elites=2, num_keep=1, num_best=2)
    return points.agent(Point("cem", 8, 2, 1, 4, 8, 1), planner, 0)


def test_what_is_compared_is_measured(agent):
    values = {each.case: each.value for each in overhead.overhead(agent, 3)}
    assert list(values) == ["control_step_ms", "compiled_step_ms", "host_overhead_ms"]
    assert min(values["control_step_ms"], values["compiled_step_ms"]) > 0
    each, times = overhead.speedup(agent, 3, 12)
    assert each.value > 0 and times.value > 0 and (times.case, times.unit) == ("batch_3_speedup", "times")


def test_a_batch_that_changes_an_action_is_no_result(agent, monkeypatch):
    def mixed(agent, states, observations, active):
        actions, plans, states = jax.vmap(lambda state, o: Agent.step(agent, state, o))(states, observations)
        return actions + 1e-6, plans, states

    monkeypatch.setattr(overhead, "step_many", mixed)
    with pytest.raises(RuntimeError, match="depends on the others in its batch"):
        overhead.speedup(agent, 3, 12)


def test_values_are_written_for_the_planner_as_it_comes(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(overhead, "overhead", lambda agent, repeats: [Value("a_ms", 1.5, "ms")])
    monkeypatch.setattr(overhead, "speedup", lambda agent, *_: seen.append(agent) or [Value("b", 2.0, "times")])
    bench.run(build.compose("bench", "suite=overhead", f"results='{tmp_path}'"))
    assert seen[0].planner.num_samples == CEM.num_samples and seen[0].model.config.width == 256
    with (tmp_path / "planning.csv").open(newline="") as file:
        assert [(row["case"], row["value"], row["unit"]) for row in csv.DictReader(file)] == [
            ("a_ms", "1.5", "ms"),
            ("b", "2", "times"),
        ]
