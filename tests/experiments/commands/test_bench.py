import dataclasses
import json
from pathlib import Path

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from omegaconf import OmegaConf

from experiments import build
from experiments.bench.latency import points as latency_grid
from experiments.bench.latency import rows as latency_table
from experiments.bench.latency import suite as bench_latency
from experiments.bench.latency.points import Point
from experiments.bench.latency.rows import COLUMNS, LatencyRow
from experiments.bench.latency.suite import Timing
from experiments.commands import bench
from experiments.shell import limits
from planning import CEM, ICEM, Gradient
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.heads import EMBEDDING
from worldmodel.observation import vector

TINY = {
    "plans": 2,
    "own_settings": False,
    "base": {"num_samples": 16, "horizon": 2, "iterations": 2, "latent_dim": 4, "width": 8, "batch": 1},
    "sweeps": {"num_samples": [24]},
    "points": [],
}


def settings(tmp_path, *overrides, **grid):
    cfg = build.compose("bench", f"results='{tmp_path}'", "suite.planners=[cem]", *overrides)
    cfg.grid = OmegaConf.create({**TINY, **grid})
    return cfg


def timing(milliseconds=2.0):
    return Timing(np.full(2, milliseconds), np.full(2, 0.1), compile_s=1.0, memory_mib=0.5)


@pytest.fixture
def fake(monkeypatch):
    """Measurements at once; the list of what was measured."""
    seen = []

    def measure(agent, batch, plans):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append((type(agent.planner).__name__, agent.planner.num_samples, batch, plans))
        return timing(float(agent.planner.num_samples))

    monkeypatch.setattr(bench_latency, "measure", measure)
    peaks = iter([100.0, 50.0, 400.0, 10.0])
    monkeypatch.setattr(bench_latency, "sgemm_gflops", lambda: next(peaks))
    return seen


def read(tmp_path):
    rows = latency_table.read(tmp_path / "latency.csv")
    entries = json.loads((tmp_path / "latency.manifest.json").read_text())
    told = [tuple(each["identity"]) for entry in entries for each in entry["rows"]]
    assert sorted(told) == sorted(row.identity() for row in rows)  # each row has just one manifest
    return rows, entries


@pytest.mark.parametrize("batch", [1, 3])
def test_a_plan_is_measured(tmp_path, batch):
    point = {**TINY["base"], "batch": batch}
    (row,) = bench.run(settings(tmp_path, base=point, sweeps={}))
    assert 0 < row.p50_ms <= row.p95_ms <= row.p99_ms and row.compile_s > 0
    assert row.gflops > 0 and row.batch == batch and row.horizon == 2
    (again,), entries = read(tmp_path)
    assert again.p50_ms == pytest.approx(row.p50_ms, rel=1e-3)
    (details,) = entries[0]["rows"]
    assert details["rollouts_per_s"] == pytest.approx(batch * 32 / (row.p50_ms / 1e3), rel=1e-3)
    assert details["latent_steps_per_s"] == pytest.approx(2 * details["rollouts_per_s"], abs=2)
    assert entries[0]["manifest"]["sgemm_gflops"] == pytest.approx(row.gflops / row.sgemm_share, rel=1e-2)
    assert jax.config.jax_enable_compilation_cache


def test_what_is_in_the_table_is_not_measured_again(tmp_path, fake, capsys):
    bench.run(settings(tmp_path))
    assert fake == [("CEM", 16, 1, 2), ("CEM", 24, 1, 2)]
    assert "growth" in capsys.readouterr().out
    bench.run(settings(tmp_path, "suite.planners=[cem,mppi]", sweeps={}))
    assert fake[2:] == [("MPPI", 16, 1, 2)]
    rows, entries = read(tmp_path)
    assert [row.num_samples for row in rows] == [16, 24, 16] and len(entries) == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        f"latency.{kind}" for kind in ("csv", "manifest.json", "png", "svg")
    }


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, fake, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        bench.run(settings(tmp_path, sweeps={"num_samples": [24, 32, 40]}))
    rows, _ = read(tmp_path)
    assert [row.num_samples for row in rows] == [16, 24, 32]
    assert [row.sgemm_share * 400 for row in rows] == pytest.approx([row.gflops for row in rows], rel=1e-2)
    fake.clear()
    monkeypatch.setattr(bench_latency, "sgemm_gflops", lambda: 200.0)
    bench.run(settings(tmp_path, sweeps={"num_samples": [24, 32, 40]}))
    assert [each[1] for each in fake] == [40]
    assert len(read(tmp_path)[0]) == 4


def test_redo_measures_again_and_replaces_the_manifest_too(tmp_path, fake):
    bench.run(settings(tmp_path))
    fake.clear()
    bench.run(settings(tmp_path, "redo=true", "seed=7", sweeps={}))
    assert len(fake) == 1
    rows, entries = read(tmp_path)
    assert len(rows) == 2
    seeds = {each["identity"][1]: entry["manifest"]["seeds"] for entry in entries for each in entry["rows"]}
    assert seeds == {16: [7], 24: [0]}


@pytest.mark.parametrize("grid", ["full", "quick"])
def test_every_planner_is_set_to_every_point_of_the_grids(grid, caplog):
    cfg = build.compose("bench", f"grid={grid}")
    planners = latency_grid.planners(cfg)
    assert {"cem", "icem", "mppi", "gradient"} <= set(planners)
    points = list(latency_grid.points(cfg, planners))
    assert not caplog.records  # nothing is left out
    assert len(set(points)) >= len(planners) * (2 if grid == "quick" else 12)
    for point in points:
        fitted = latency_grid.fitted(point, planners[point.planner])
        assert type(fitted) is type(planners[point.planner])
        samples = getattr(fitted, "num_samples", None) or fitted.num_starts
        assert (samples, fitted.horizon, fitted.iterations) == (point.num_samples, 3 * point.horizon, point.iterations)


def test_the_agent_of_a_point_has_its_size():
    agent = latency_grid.agent(Point("cem", 32, 2, 1, 8, 16, 1), CEM(), seed=0)
    assert (agent.model.latent_size, agent.model.config.width, agent.planner.horizon) == (8, 16, 6)
    assert agent.planner.num_elites == 3  # the share of the default, 6 of 64


def products(function, *arguments):
    """The work of the matrix products in a traced function without loops."""

    def count(jaxpr):
        total = 0
        for equation in jaxpr.eqns:
            total += sum(map(count, jax.extend.core.jaxprs_in_params(equation.params)))
            if equation.primitive.name == "dot_general":
                (contracted, _), _ = equation.params["dimension_numbers"]
                shape = equation.invars[0].aval.shape
                total += 2 * equation.outvars[0].aval.size * int(np.prod([shape[axis] for axis in contracted]))
        return total

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_the_work_of_a_plan_is_what_its_functions_multiply():
    config = ModelConfig(observation=vector(8), action_size=2, latent_size=12, width=20, head_width=10, depth=3)
    model = freeze(create(config, 0), config)
    planner = CEM(horizon=6, num_samples=32, num_elites=4, iterations=5)
    latents, block, goal = jnp.zeros((32, 12)), jnp.zeros((32, 3, 2)), jnp.zeros(12)
    encoder = products(lambda obs: model.encode(model.params, obs), jnp.zeros((2, 8)))
    predictor = products(lambda z, a: model.predict(model.params, z, a).latent, latents, block)
    critic = products(lambda z, g: jax.vmap(lambda z: model.heads.distance(model.params, z, g))(z), latents, goal)
    of_goal = 2 * 12 * 10 + products(lambda g: model.heads.distance(model.params, g, g), goal) // 2
    expected = encoder + 5 * 2 * (predictor + critic - of_goal)
    assert latency_grid.plan_flops(planner, model) == expected
    assert EMBEDDING == 16


def test_a_population_that_shrinks_and_a_gradient_are_counted_as_what_they_do():
    config = ModelConfig(observation=vector(8), action_size=2, latent_size=12, width=20, head_width=10)
    model = freeze(create(config, 0), config)
    icem = ICEM(horizon=6, num_samples=40, num_elites=10, iterations=3, num_keep=3)
    assert latency_grid.rollouts(icem) == 40 + 3 + 32 + 25
    gradient = Gradient(horizon=6, num_starts=8, iterations=4)
    assert latency_grid.rollouts(gradient) == 32
    once = CEM(horizon=6, num_samples=32, num_elites=4, iterations=1)
    encoder = 2 * (16 * 20 + 20 * 20 + 20 * 12)
    forward = latency_grid.plan_flops(once, model) - encoder
    assert latency_grid.plan_flops(gradient, model) == encoder + 2 * forward


def row(**values):
    base = {"planner": "cem", "num_samples": 16, "horizon": 2, "iterations": 2, "latent_dim": 4, "width": 8, "batch": 1}
    numbers = {"p50_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0, "gflops": 1.0, "sgemm_share": 0.1, "compile_s": 1.0}
    return LatencyRow(**{**base, **numbers, "command": "x", **values})


def test_growth_is_read_from_the_rows_that_differ_in_one_axis_alone():
    rows = [row(num_samples=n, p50_ms=0.1 * n**0.8) for n in (64, 16, 256)]
    rows += [row(num_samples=32, width=512, p50_ms=99.0), row(planner="mppi", num_samples=128, p50_ms=99.0)]
    assert latency_table.growth(rows, "cem", "num_samples") == pytest.approx(0.8)
    assert [each.num_samples for each in latency_table.sweep(rows, "cem", "num_samples")] == [16, 64, 256]
    assert latency_table.growth(rows, "cem", "horizon") is None


def test_the_columns_are_those_that_were_agreed(tmp_path):
    agreed = "planner,num_samples,horizon,iterations,latent_dim,width,batch"
    agreed += ",p50_ms,p95_ms,p99_ms,gflops,sgemm_share,compile_s,command"
    assert ",".join(COLUMNS) == agreed
    path = tmp_path / "latency.csv"
    latency_table.write(path, [row()], [])
    assert latency_table.read(path) == [row()]
    path.write_text("planner,p50\ncem,1\n")
    with pytest.raises(ValueError, match="latency.csv is another table: foreign columns"):
        latency_table.read(path)
    path.write_text(agreed + "\ncem,many" + ",1" * 12 + "\n")
    with pytest.raises(ValueError, match="latency.csv, line 2: num_samples must be a number; got 'many'"):
        latency_table.read(path)


@pytest.mark.parametrize(
    ("overrides", "grid", "words"),
    [
        (["suite.planners=[cme]"], {}, "suite.planners has no planner called 'cme': choose from cem, "),
        (["suite.name=speed"], {}, "suite=speed is not known: choose from constraints, delay"),
        ([], {"sweeps": {"depth": [2]}}, "a point of the grid has the axes .*; got depth"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, overrides, grid, words):
    with pytest.raises(ValueError, match=words):
        bench.run(settings(tmp_path, *overrides, **grid))


@pytest.mark.parametrize(("suite", "setting"), [("paired", "collection_shards"), ("planners", "evaluation_shards")])
def test_shards_where_there_is_nothing_to_divide_are_refused(tmp_path, monkeypatch, suite, setting):
    monkeypatch.setattr(bench, "importlib", None)  # no suite is imported
    words = (f"suite={suite}", f"engine.{setting}=4", f"results='{tmp_path}'", f"runs='{tmp_path}'")
    with pytest.raises(ValueError, match=f"engine.{setting}=4 divides nothing in suite={suite}: .* few_labels, goal"):
        bench.run(build.compose("bench", *words))
    with pytest.raises(ValueError, match=f"engine.{setting} must be at least 1; got 0"):
        bench.run(limits.check(build.compose("bench", f"engine.{setting}=0")))


def test_a_point_that_a_planner_cannot_take_is_told_and_left_out(caplog):
    planners = {"cem": dataclasses.replace(CEM(), num_best=8)}
    cfg = OmegaConf.create({"grid": {**TINY, "sweeps": {"num_samples": [2]}}})
    assert [point.num_samples for point in latency_grid.points(cfg, planners)] == [16]
    assert "is left out: num_samples (2) leaves no draw" in caplog.text


def test_compiling_is_timed_without_the_cache_on_disk(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    compilation_cache.reset_cache()
    try:
        jax.jit(lambda x: x * 7 + 3)(1.0)
        kept = len(list(tmp_path.iterdir()))
        lowered = jax.jit(lambda x: jnp.sin(x) * 7 + 5).lower(1.0)
        with bench_latency.no_compilation_cache():
            lowered.compile()
        assert len(list(tmp_path.iterdir())) == kept > 0
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1)
        compilation_cache.reset_cache()
