"""The suite on two tasks, tiny, killed twice on its way; and what decides which rows are measured."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import pytest
from omegaconf import OmegaConf

from experiments import build
from experiments.bench.goal import outcomes
from experiments.bench.goal import points as goal_points
from experiments.bench.goal import suite as bench_goal
from experiments.bench.goal import table as goal_table
from experiments.bench.goal.suite import Suite, steps, to_measure
from experiments.build import recipes as build_recipes
from experiments.commands import bench
from experiments.records.results import Row, append_csv, read_csv
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from ...recipe import TINY

CHOSEN = ("suite.tasks=[two_room,umaze]", "suite.seeds=[0]", "suite.policies=[model,random,noop,gcbc]")
SMALL = ("suite.episodes=4", "suite.simulated_episodes=1", "suite.plans=2", "suite.simulated=[ceiling]")
CLONES = ("suite.baselines.gcbc.width=8", "suite.baselines.gcbc.depth=1")
SHAPE = (
    "model.train_blocks=2",
    "model.depth=1",
    "model.ensemble=1",
    "model.policy=false",
    "training.critic_updates=0",
    "training.policy_updates=0",
)
OVERRIDES = [*TINY, *SHAPE, "collection.steps=40"]


@cache
def composed(name="goal"):
    return build.compose("bench", f"suite={name}", *CHOSEN, *SMALL, *CLONES)


def settings(folder, *overrides, name="goal"):
    base = composed(name).copy()
    base.suite.overrides = OVERRIDES
    OmegaConf.set_struct(base, False)
    words = [f"results={folder / 'results'}", f"runs={folder / 'runs'}", *overrides]
    return OmegaConf.merge(base, OmegaConf.from_dotlist(words))


@pytest.fixture(scope="module", autouse=True)
def programs_stay():
    """The tasks here have the same shapes, and so the same programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "clear_caches", lambda: None)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The suite, killed between stages and within a row, then finished; what the kills left behind, and the rows.

    The second task finds a model there, which is random, so that only the first one is trained.
    """
    folder = tmp_path_factory.mktemp("suite")
    cfg, left, calls = settings(folder), [], []
    save_random_model(cfg, "umaze")
    train, real = bench_goal.ensure_model, outcomes.run_episodes

    def killed_before_training(*arguments):
        raise KeyboardInterrupt

    def killed_in_a_row(task, policy, pairs, model):
        calls.append((task.name, policy.name, pairs.protocol, list(pairs.numbers)))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(task, policy, pairs, model=model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_goal, "TOGETHER", 2)
        patch.setattr(bench_goal, "ensure_model", killed_before_training)
        with pytest.raises(KeyboardInterrupt):
            bench.run(cfg)
        left.append(sorted(file.name for file in (folder / "runs").iterdir() if file.name != "engine"))
        made = {file: file.stat().st_mtime_ns for file in (folder / "runs").rglob("*.hdf5")}
        patch.setattr(bench_goal, "ensure_model", train)
        patch.setattr(outcomes, "run_episodes", killed_in_a_row)
        with pytest.raises(KeyboardInterrupt):
            bench.run(cfg)
        left.append(sorted(file.name for file in (folder / "runs").iterdir() if file.name != "engine"))
        made |= {file: file.stat().st_mtime_ns for file in (folder / "runs").glob("*.safetensors")}
        (partly,) = (folder / "runs" / "suite").iterdir()
        left.append(json.loads(partly.read_text())["solved"])
        rows = bench.run(cfg)
        again = bench.run(cfg)
    assert len(made) == 3 and all(file.stat().st_mtime_ns == when for file, when in made.items())
    return folder, left, calls, rows, again


def save_random_model(cfg, task):
    """A model that passes for the recipe's."""
    composed = goal_points.recipes(cfg)[task, "state", ""].cfg
    shape = {**composed.model, "observation": vector(4), "action_size": 2, "probe_size": 2}
    config = ModelConfig(**shape)
    known = {
        "recipe": build_recipes.recipe(composed, 0),
        "task": {"task": task},
        "env_steps": 1600,
        "train_seconds": 1.0,
    }
    save_model(build_recipes.Paths.of(composed, 0).model, create(config, 0), config, known)


POLICIES = ["model", "random", "noop", "gcbc", "ceiling"]


def test_a_kill_leaves_what_was_finished(finished):
    _, (first, second, solved), calls, _, _ = finished
    assert first == ["two_room-seed0-data", "umaze-seed0.safetensors"]
    trained = ["two_room-seed0.safetensors", "two_room-seed0.scalars.csv"]
    assert second == ["suite", "two_room-seed0-data", *trained, "umaze-seed0.safetensors"]
    assert len(solved) == 2
    assert calls[:3] == [("two_room", "model", "honest", list(numbers)) for numbers in ((0, 1), (2, 3), (2, 3))]


def test_what_was_finished_is_not_done_again(finished):
    _, _, calls, rows, again = finished
    assert len({str(call) for call in calls}) == len(calls) - 1  # but for the one that was killed
    honest = [("honest", policy) for policy in POLICIES]
    lewm = [("lewm", policy) for policy in ("start", *POLICIES[:-1])]
    assert [(row.task, row.protocol, row.policy) for row in rows] == [
        (task, *pair) for task in ("two_room", "umaze") for pair in honest + lewm
    ]
    assert again == rows


def test_rows_are_complete(finished):
    folder, _, _, _, rows = finished
    assert {row.episodes for row in rows if row.policy != "ceiling"} == {4}
    assert {(row.protocol, row.goal_offset) for row in rows} == {("honest", None), ("lewm", 25)}
    assert {row.budget for row in rows if row.protocol == "lewm"} == {50}
    for row in rows:
        learned = row.policy in ("model", "gcbc")
        assert [value is not None for value in (row.env_steps, row.train_seconds, row.parameters)] == [learned] * 3
        assert (row.plan_ms_p50 is not None) == learned
        assert row.planner == ("cem" if row.policy in ("model", "ceiling") else "")
    assert {row.env_steps for row in rows if row.policy in ("model", "gcbc")} == {40 * 40}
    entries = json.loads((folder / "results" / "goal.manifest.json").read_text())
    assert sum(len(entry["rows"]) for entry in entries) == len(rows) and len(entries) == 1
    assert "planner.num_samples=32" in entries[-1]["manifest"]["settings"]["umaze honest model cem"]
    assert not list((folder / "runs" / "suite").iterdir())


def test_rows_measured_in_shards_are_the_same(finished, tmp_path, monkeypatch):
    """The policies that plan, with the trained model: the shards are steps, and the row joins them."""
    folder, _, _, _, rows = finished
    words = ("suite.tasks=[two_room]", "suite.policies=[model,random]", "suite.protocols=[honest]")
    cfg = settings(folder, *words, f"results={tmp_path}", "engine.evaluation_shards=3")
    monkeypatch.setattr(bench_goal, "TOGETHER", 2)
    ran, run_steps = [], bench_goal.run_steps

    def noted(cfg, module, steps, table):
        ran.extend(steps)
        return run_steps(cfg, module, steps, table)

    monkeypatch.setattr(bench_goal, "run_steps", noted)
    again = {row.policy: row for row in bench.run(cfg)}
    model = "model cem on two_room, seed 0, honest"
    assert [step.name for step in ran] == [
        f"{model}, episodes 0 to 1",
        f"{model}, episodes 2 to 3",
        model,
        "random on two_room, seed 0, honest",
        "ceiling cem on two_room, seed 0, honest",
    ]
    for row in rows:
        if (row.task, row.protocol) == ("two_room", "honest") and row.policy in again:
            same = ("successes", "episodes", "ci_low", "ci_high", "return_mean", "env_steps", "train_seconds")
            assert [getattr(row, name) for name in same] == [getattr(again[row.policy], name) for name in same]
    assert again["model"].plan_ms_p50 is not None and again["model"].plan_ms_p99 is not None
    assert not list((folder / "runs" / "suite").iterdir())


def test_tables_hold_every_protocol_apart_with_the_robot_time(finished, capsys):
    _, _, _, _, rows = finished
    goal_table.show(rows)
    text = capsys.readouterr().out
    assert "…" not in text  # it fits into 80 columns
    honest, lewm = text.split("lewm, the protocol of LeWorldModel")
    assert "ceiling" in honest and "ceiling" not in lewm
    tables = [goal_table.markdown(rows, protocol) for protocol in ("honest", "lewm")]
    assert ["| start |" in table for table in tables] == [False, True]
    assert "0.02 h" in honest  # 1,600 steps of two_room at 20 Hz
    table = goal_table.markdown(rows, "lewm").splitlines()
    assert table[0].startswith("| task | policy | success (95 %) | episodes |") and len(table) == 2 + 10
    assert table[3].startswith("| **two_room** | **model** |")
    rooms = [row for row in rows if row.task == "two_room"]
    late = goal_table.markdown(rooms[::-1], "honest")  # as rows come that are measured again
    assert late == goal_table.markdown(rooms, "honest") and "| two_room | ceiling |" in late


def test_goals_at_several_distances_are_apart_in_a_table():
    known = {"protocol": "honest", "policy": "model", "seed": 0, "episodes": 10, "ci_low": 0.0, "ci_high": 1.0}
    rows = [
        Row(task=task, goal_offset=offset, successes=reached, success_rate=reached / 10, **known)
        for task, offset, reached in (("push_t", 75, 2), ("push_t", 25, 6), ("umaze", None, 9))
    ]
    lines = goal_table.markdown(rows, "honest").splitlines()
    assert lines[0].startswith("| task | goal offset | ")
    near, far, maze = lines[2:]
    assert "| **+25** | " in near and "60.0%" in near and "| **+75** | " in far and "20.0%" in far
    assert "| **umaze** |  | " in maze and "90.0%" in maze
    assert "goal offset" not in goal_table.markdown(rows[1:], "honest")


def test_the_committed_rows_are_those_of_the_present_recipes():
    cfg = build.compose("bench", "suite=goal")
    points = list(goal_points.points(cfg, goal_points.recipes(cfg)))
    committed = Path(__file__).parents[4] / "experiments/results/goal.csv"
    assert not to_measure(points, committed, redo=False)
    assert to_measure(points, committed, redo=True) == points


def test_a_table_has_a_place_for_every_row_that_is_measured():
    measured = {goal_points.START, *goal_points.POLICIES, *goal_points.SIMULATED}
    assert set(goal_table.POLICIES) == measured and len(goal_table.POLICIES) == len(measured)


def test_rows_are_measured_again_with_other_settings_or_more_episodes(finished):
    folder, _, _, _, _ = finished
    path = folder / "results" / "goal.csv"

    def again(*overrides):
        cfg = settings(folder, *overrides)
        points = list(goal_points.points(cfg, goal_points.recipes(cfg)))
        return {(point.policy, point.protocol) for point in to_measure(points, path, redo=False)}

    assert again() == again("suite.episodes=3") == set()
    assert again("suite.simulated_episodes=2") == {("ceiling", "honest")}
    more = [*OVERRIDES, "planner.iterations=3"]
    assert again(f"suite.overrides={json.dumps(more)}") == {("model", p) for p in ("honest", "lewm")} | {
        ("ceiling", "honest")
    }
    other = [*OVERRIDES, "objective.inverse=0.5"]
    assert again(f"suite.overrides={json.dumps(other)}") == {("model", "honest"), ("model", "lewm")}
    assert again("suite.baselines.gcbc.width=16") == {("gcbc", "honest"), ("gcbc", "lewm")}


ABLATIONS = ("suite.tasks=[two_room]", "suite.policies=[model,noop]", "suite.simulated=[]", "suite.plans=0")


def test_a_variant_trains_with_its_settings_in_its_folder_and_planning_alone_trains_nothing(finished, tmp_path):
    folder, _, _, _, _ = finished
    variants = {
        "no_inverse": ["objective.inverse=0"],
        "last": ["cost.distance.running=0.0", "cost.distance.terminal=1.0"],
    }
    cfg = settings(folder, *ABLATIONS, f"results={tmp_path}", name="goal_ablations")
    cfg.suite.variants = OmegaConf.create(variants)
    default = folder / "runs" / "two_room-seed0.safetensors"
    before = default.stat().st_mtime_ns
    rows = bench.run(cfg)
    assert [(row.variant, row.policy) for row in rows] == [
        ("", "model"),
        ("", "noop"),
        ("no_inverse", "model"),
        ("last", "model"),
    ]
    assert default.stat().st_mtime_ns == before
    folders = {file.name for file in (folder / "runs").iterdir() if file.is_dir()}
    assert sorted(folders - {"engine"}) == [
        "no_inverse",
        "suite",
        "two_room-seed0-data",
        "umaze-seed0-data",
    ]
    trained = load_model(folder / "runs" / "no_inverse" / default.name).metadata
    assert trained["objective"]["inverse"] == 0 and load_model(default).metadata["objective"]["inverse"] == 1
    assert trained["data"]["seed"] == 0 and trained["env_steps"] == 1600
    recipes = goal_points.recipes(cfg)
    points = {point.recipe.variant: point for point in goal_points.points(cfg, recipes)}
    assert "cost.distance.terminal=1.0" in points["last"].settings and "terminal=1.0" not in points[""].settings


def test_a_stage_that_fails_is_named_and_the_rest_goes_on(tmp_path, caplog):
    """A file that is no dataset lies where the data of two_room should: its floors are measured, its model is not."""
    (tmp_path / "runs" / "two_room-seed0-data").mkdir(parents=True)
    cfg = settings(tmp_path, "suite.tasks=[two_room]", "suite.protocols=[honest]", "suite.simulated=[]")
    with pytest.raises(SystemExit) as stopped:
        bench.run(cfg)
    assert stopped.value.code == 1
    assert [row.policy for row in read_csv(tmp_path / "results" / "goal.csv")] == ["random", "noop"]
    assert "failed: model of two_room, seed 0" in caplog.text and "is not a Minari dataset" in caplog.text
    assert (
        "failed: model cem on two_room, seed 0, honest (it needs model of two_room, seed 0, which failed)"
        in caplog.text
    )


def test_stages_make_only_what_is_missing_and_in_order(tmp_path):
    cfg = settings(tmp_path, "suite.seeds=[0,1]", "suite.protocols=[honest]")
    recipes = goal_points.recipes(cfg)
    points = list(goal_points.points(cfg, recipes))
    stages = steps(Suite(cfg, recipes, tmp_path / "goal.csv", {}), points)
    first = [stage.name for stage in stages if "two_room, seed 0" in stage.name]
    assert first == [
        "data of two_room, seed 0",
        "model of two_room, seed 0",
        "model cem on two_room, seed 0, honest",
        "random on two_room, seed 0, honest",
        "noop on two_room, seed 0, honest",
        "gcbc of two_room, seed 0",
        "gcbc on two_room, seed 0, honest",
        "ceiling cem on two_room, seed 0, honest",
    ]
    assert len(stages) == 4 * len(first)
    needs = {stage.name: stage.needs for stage in stages}
    assert needs["ceiling cem on two_room, seed 0, honest"] == ("data of two_room, seed 0", "model of two_room, seed 0")
    assert needs["gcbc on two_room, seed 0, honest"] == ("data of two_room, seed 0", "gcbc of two_room, seed 0")
    assert needs["noop on two_room, seed 0, honest"] == ()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("suite.policies=[modle]", "'modle' is not a choice of suite.policies: choose from model, reflex"),
        ("suite.protocols=[fair]", "'fair' is not a choice of suite.protocols: choose from honest, strict, lewm"),
        ("suite.tasks=[]", "suite.tasks is empty: name at least one"),
        ("suite.episodes=0", "suite.episodes must be at least 1; got 0"),
        (
            "suite.variants.bad=[objective.sigrag=0]",
            "the settings task=two_room planner=cem .* objective.sigrag=0 cannot be composed",
        ),
        (
            "suite.overrides=[planner.horizn=0]",
            "the settings task=two_room planner=cem planner.horizn=0 cannot be composed",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_done(tmp_path, overrides, words):
    with pytest.raises(ValueError, match=words):
        bench.run(settings(tmp_path, overrides))
    assert not list(tmp_path.iterdir())


def test_rows_added_one_by_one_share_their_manifest(tmp_path):
    row, path = Row(task="umaze", policy="model", seed=0), tmp_path / "goal.csv"
    for seed, time in ((0, "a"), (1, "a"), (2, "b"), (0, "b")):
        append_csv(path, [replace(row, seed=seed)], {"time": time})
    entries = json.loads(path.with_suffix(".manifest.json").read_text())
    assert [(entry["manifest"]["time"], [each[7] for each in entry["rows"]]) for entry in entries] == [
        ("a", [1]),
        ("b", [2, 0]),
    ]
