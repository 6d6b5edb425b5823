from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from experiments.comparison import published
from experiments.records import curves
from experiments.records.curves import CurveRow, MeanCurve, runs_of

ROW = CurveRow(
    method="sac",
    task="dmc/walker-walk",
    seed=0,
    env_steps=0,
    gradient_steps=0,
    wall_s=0.0,
    mean_return=12.5,
    action_repeat=2,
    command="a command",
)
HEADER = "method,task,seed,env_steps,gradient_steps,wall_s,return,action_repeat,command"


def row(env_steps, value, **changes):
    known = {"env_steps": env_steps, "mean_return": float(value), "wall_s": env_steps / 10, "gradient_steps": env_steps}
    return replace(ROW, **{**known, **changes})


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "curves.csv"
    rows = [ROW, row(1000, 100, gradient_steps=None, wall_s=None), row(1000, 99, seed=1)]
    for each in rows:
        curves.append(path, each, {"command": "a command"})
    assert path.read_text().splitlines()[0] == HEADER
    assert curves.read(path) == rows
    (entry,) = json.loads((tmp_path / "curves.manifest.json").read_text())  # one run, one manifest
    assert [tuple(each) for each in entry["rows"]] == [(*each.key(), each.env_steps) for each in rows]


def test_the_same_step_replaces_and_an_interrupted_run_is_taken_out(tmp_path):
    path = tmp_path / "curves.csv"
    for each in (ROW, row(1000, 1), row(1000, 2), row(1000, 3, seed=1)):
        curves.append(path, each, {"command": f"seed {each.seed}"})
    assert [each.mean_return for each in curves.read(path)] == [12.5, 2.0, 3.0]
    curves.discard(path, ROW.key())
    assert [each.seed for each in curves.read(path)] == [1]
    (entry,) = json.loads((tmp_path / "curves.manifest.json").read_text())
    assert entry["manifest"] == {"command": "seed 1"}
    curves.discard(path, ROW.key())  # nothing is left of it
    curves.discard(tmp_path / "none.csv", ROW.key())


def _append_many(path, seed):
    for step in range(12):
        curves.append(path, row(step, step, seed=seed), {"command": f"seed {seed}"})


def test_jobs_side_by_side_lose_no_row(tmp_path):
    path = tmp_path / "curves.csv"
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_append_many, args=(path, seed)) for seed in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert sorted((each.seed, each.env_steps) for each in curves.read(path)) == [
        (s, i) for s in (0, 1) for i in range(12)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,task\nsac,x\n", "foreign columns none, missing .*return"),
        (f"{HEADER}\nsac,t,0,ten,0,0,1,2,c\n", "line 2: env_steps must be a number; got 'ten'"),
        (f"{HEADER}\nsac,t,0,10,0,0,nan,2,c\n", "line 2: return of a learning curve must be a finite number"),
        (f"{HEADER}\nsac,t,0,10,0,0,,2,c\n", "line 2: return must be a number; got ''"),
        (f"{HEADER}\n,t,0,10,0,0,1,2,c\n", "line 2: .* needs a method and a task"),
        (f"{HEADER}\nsac,t,0,-1,0,0,1,2,c\n", "line 2: env_steps of a learning curve must be 0 or more; got -1"),
        (f"{HEADER}\nsac,t,0,10\n", "line 2 has another number of cells"),
        (f"{HEADER}\nsac,t,0.5,10,0,0,1,2,c\n", "line 2: seed must be a whole number; got '0.5'"),
        (f"{HEADER}\nsac,t,1_0,10,0,0,1,2,c\n", "line 2: seed must be a number; got '1_0'"),
        (f"{HEADER},seed\nsac,t,0,10,0,0,1,2,c,0\n", "is another table: .* twice there are \\['seed'\\]"),
    ],
)
def test_a_broken_table_is_told_with_its_line(tmp_path, text, message):
    path = tmp_path / "curves.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        curves.read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_that_other_programs_wrote_are_read(tmp_path, encoding):
    """Columns in another order, whole numbers as pandas and spreadsheets write them, an index, other separators."""
    path = tmp_path / "curves.csv"
    shuffled = "command,action_repeat,return,wall_s,gradient_steps,env_steps,seed,task,method"
    text = f";{shuffled.replace(',', ';')}\r\n0;a command;2,0;12,5;0;;1e3;0,0;dmc/walker-walk;sac\r\n"
    path.write_bytes(text.encode(encoding))
    assert curves.read(path) == [replace(ROW, env_steps=1000, gradient_steps=None)]
    curves.append(path, ROW, {"command": "a command"})
    assert path.read_text().splitlines()[0] == HEADER and len(curves.read(path)) == 2


def test_whole_numbers_may_be_written_with_a_point(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(f"{HEADER}\nsac,dmc/walker-walk,0.0,0.,0.0,0.0,12.5,2.0,a command\n")
    assert curves.read(path) == [ROW]


def test_a_file_that_is_no_text_is_told(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00" * 20)
    with pytest.raises(ValueError, match="curves.csv is not text in a usual encoding"):
        curves.read(path)


def test_runs_are_in_order_and_a_step_comes_once():
    rows = [row(20, 2, seed=1), row(10, 1, seed=1), row(10, 5), row(10, 7, method="td"), row(20, 6)]
    runs = runs_of(rows)
    assert [(run.method, run.seed, run.returns.tolist()) for run in runs] == [
        ("sac", 0, [5, 6]),
        ("sac", 1, [1, 2]),
        ("td", 0, [7]),
    ]
    assert runs[0].at(15) == 5.5 and runs[0].reaches(20) and not runs[0].reaches(21) and not runs[0].reaches(9)
    with pytest.raises(ValueError, match="sac on dmc/walker-walk, seed 1, has two rows at 20"):
        runs_of([*rows, row(20, 3, seed=1)])


def test_mean_curve_is_over_what_all_runs_have():
    one = [row(step, step) for step in (0, 10, 20, 30)]
    other = [row(step, 3 * step, seed=1, gradient_steps=None) for step in (5, 15, 25)]
    mean = MeanCurve.of(runs_of(one + other), until=22)
    assert mean.env_steps.tolist() == [5, 10, 15, 20, 22]
    np.testing.assert_allclose(mean.returns, 2 * mean.env_steps)
    np.testing.assert_allclose(mean.low, mean.env_steps)
    np.testing.assert_allclose(mean.high, 3 * mean.env_steps)
    assert np.isnan(mean.gradient_steps).all() and np.isfinite(mean.wall_s).all()
    with pytest.raises(ValueError, match="never evaluated at the same step"):
        MeanCurve.of(runs_of([row(1, 1), row(2, 2, seed=1)]))


def test_published_scores_are_those_of_the_issue_and_name_their_source():
    scores = published.read()
    at = {(each.method, each.task): each for each in scores if each.step == 100_000}
    assert round(at["TD-MPC2", "walker-walk"].mean) == 962 and round(at["BRO UTD10", "hopper-stand"].mean) == 862
    tasks = {each.task for each in scores}
    assert len(tasks) == 13 and all(each.source and each.step <= 1_000_000 for each in scores)
    for each in scores:  # a mean is that of its seeds, as far as they are rounded
        if each.seeds:
            assert len(each.seeds) == each.n_seeds
            assert np.mean(each.seeds) == pytest.approx(each.mean, abs=1.0)


def test_published_scores_are_chosen_by_our_names():
    scores = published.read()
    found = published.chosen(scores, ["BMPC", "TD-MPC2"], ["dmc/ball_in_cup-catch", "gym/Ant-v5"])
    assert {each.task for each in found} == {"cup-catch"}
    assert list(dict.fromkeys(each.method for each in found)) == ["BMPC", "TD-MPC2"]
    with pytest.raises(ValueError, match=r"no method 'TDMPC2': .*did you mean 'TD-MPC2'\?"):
        published.chosen(scores, ["TDMPC2"], ["dmc/walker-walk"])
