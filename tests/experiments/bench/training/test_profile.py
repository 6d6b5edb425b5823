import pytest

from experiments import build
from experiments.bench.training import profile
from experiments.bench.training.profile import Profile, rows_of
from experiments.bench.training.profile_rows import IDENTITY, UPDATE, ProfileRow, columns
from experiments.bench.training.trace import COPIES, KINDS, PRODUCTS, Spent
from experiments.commands import bench
from experiments.records import table_file

from ....worldmodel.small import trainer
from ...recipe import TINY

PROFILE = Profile(0.01, 2e8, {PRODUCTS: Spent(0.06, 40), COPIES: Spent(0.02, 20)}, updates=10)


def compose(tmp_path, *overrides):
    return build.compose("bench", "suite=training_profile", f"runs='{tmp_path}'", f"results='{tmp_path}'", *overrides)


def test_rows_are_per_update():
    whole, products, copies = rows_of(PROFILE, "two_room", "joint", peak=100.0)
    assert (whole.part, whole.ms, whole.operations, whole.gflop) == (UPDATE, 10.0, 6.0, 0.2)
    assert whole.gflop_per_s == pytest.approx(20.0) and whole.sgemm_share == pytest.approx(0.2)
    assert (products.part, products.ms, products.share, products.operations) == (PRODUCTS, 6.0, 0.75, 4.0)
    assert (copies.ms, copies.share, copies.gflop) == (2.0, 0.25, None)


def test_the_table_has_one_line_for_each_stage():
    rows = [row for stage in ("joint", "critic") for row in rows_of(PROFILE, "two_room", stage, peak=100.0)]
    header, lines = columns(rows)
    assert header == ["task", "stage", "ms", "GFLOP", "GFLOP/s", "sgemm", PRODUCTS, COPIES]
    assert lines[1] == ["two_room", "critic", "10.00", "0.200", "20", "20%", "75%", "25%"]


@pytest.mark.slow  # measures time for each stage
def test_every_stage_of_a_training_is_measured():
    """By name: the profile assumes nothing about the stages."""
    run = trainer(updates=10, policy_updates=10)
    found = {stage: profile.profile(run, stage, repeats=1) for stage in run.stages}
    assert len(found) >= 2 and all(tuple(each.spent) == KINDS for each in found.values())
    assert all(each.seconds > 0 and each.flops > 0 and each.spent[PRODUCTS].operations for each in found.values())
    first = next(iter(run.stages))
    assert found[first].flops == profile.update_flops(run, first)


def test_rows_of_a_stage_that_is_gone_are_replaced_and_a_measured_task_is_skipped(tmp_path, monkeypatch):
    run, made = trainer(updates=10), []
    monkeypatch.setattr(profile, "ensure_data", lambda cfg, seed: made.append(str(cfg.task.name)) or "data")
    monkeypatch.setattr(profile, "load_given", lambda source: None)
    monkeypatch.setattr(profile, "prepare", lambda *_: type("Made", (), {"trainer": run}))
    monkeypatch.setattr(profile, "profile", lambda trainer, stage, repeats: PROFILE)
    monkeypatch.setattr(profile, "sgemm_gflops", lambda size, seconds: 100.0)
    old = rows_of(PROFILE, "two_room", "gone", 100.0) + rows_of(PROFILE, "umaze", "joint", 100.0)
    table_file.add(tmp_path / "training_profile.csv", ProfileRow, old, IDENTITY, {"cell": None})
    rows = bench.run(compose(tmp_path))
    assert {(row.task, row.stage) for row in rows} == {("two_room", stage) for stage in run.stages}
    kept = table_file.read(tmp_path / "training_profile.csv", ProfileRow)
    assert {row.stage for row in kept if row.task == "umaze"} == {"joint"}
    bench.run(compose(tmp_path))
    assert made == ["two_room"]
    bench.run(compose(tmp_path, "suite.updates_per_call=10"))
    bench.run(compose(tmp_path, "suite.updates_per_call=10", "redo=true"))
    assert len(made) == 3


def test_an_unknown_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'two_rom' is not a choice of suite.tasks"):
        bench.run(compose(tmp_path, "suite.tasks=[two_rom]"))


@pytest.mark.slow
def test_a_task_is_profiled(tmp_path):
    tiny = ",".join(f"'{each}'" for each in TINY)
    rows = bench.run(compose(tmp_path, f"suite.overrides=[{tiny}]", "suite.updates_per_call=10", "suite.repeats=1"))
    assert {row.part for row in rows} == {UPDATE, *KINDS}
    assert all(0 < row.sgemm_share < 1 for row in rows if row.part == UPDATE)
