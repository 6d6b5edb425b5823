"""Two sensors, one of which is missing now and then and one of which fails, from data to a drive and its replay."""

from __future__ import annotations

from experiments.build import compose
from experiments.commands import bench, drive, export, plan, replay, train
from experiments.commands.data import collect
from planning.control import Bundle
from worldmodel.data.dataset import load

from .recipe import settings

TASK = "task=two_room_sensors"


def test_collect_train_plan_export_drive_replay(tmp_path, capsys):
    runs = tmp_path / "runs"
    small = (TASK, "model.ensemble=1", "model.filling=true")
    collect.run(settings("collect", runs, *small))
    data = load(runs / "two_room_sensors-seed0-data")
    assert [sensor.name for sensor in data.spec.sensors] == ["position", "velocity"]
    missing = 1 - data.observations[:, data.spec.flags["velocity"]].mean()
    assert 0.15 < missing < 0.25
    trained = train.run(settings("train", runs, *small))
    assert trained.model.observation == data.spec
    rows = plan.run(settings("plan", runs, *small, "policies=[model]"))
    assert rows[0].task == "two_room_sensors" and rows[0].episodes == 4
    bundle, log = tmp_path / "own.bundle", tmp_path / "run.jsonl"
    file = f"checkpoint='{runs}/two_room_sensors-seed0.safetensors'"
    export.run(settings("export", runs, *small, file, f"out='{bundle}'"))
    assert "sensors position, velocity" in capsys.readouterr().out
    exported = Bundle.load(bundle).contract.observation.sensors
    assert [(sensor.name, sensor.optional) for sensor in exported] == [("position", False), ("velocity", True)]
    summary = drive.run(
        settings(
            "drive",
            runs,
            TASK,
            f"bundle='{bundle}'",
            "timing=ideal",
            "episodes=1",
            f"telemetry='{log}'",
            "fault=missing_position_2s",
            "fault_at=0.3",
            "least_trust=0",
        )
    )
    assert summary.episodes == 1 and summary.task == "two_room_sensors"
    replayed = replay.run(compose("replay", f"log='{log}'", f"bundle='{bundle}'"))
    assert replayed.plans == summary.steps and not replayed.different and replayed.same_bundle
    assert summary.events["filled"] == 1  # not for each velocity that the contract calls optional
    assert replayed.fills.same > 40 and not replayed.fills.different
    few = ("suite.episodes=2", "suite.seeds=[0]", "suite.least_trust=0.01", "~suite.promises")
    planner = ("planner.horizon=9", "planner.num_samples=32", "planner.num_elites=8", "planner.iterations=2")
    tiny = "suite.overrides=[" + ",".join(f'"{word}"' for word in planner) + "]"
    model = f"suite.checkpoint='{runs}/two_room_sensors-seed0.safetensors'"
    rows = bench.run(compose("bench", "suite=missing_sensor", *few, tiny, model, f"results='{tmp_path}'"))
    values = {row.case.removeprefix("missing_sensor_"): row.value for row in rows}
    assert values["episodes"] == 2 and 0 <= values["success"] <= 1
    for sensor in ("position", "velocity"):
        assert {f"success_{sensor}", f"for_good_{sensor}", f"held_{sensor}"} <= values.keys()
        assert 0.3 < values[f"success_{sensor}_within"] <= 1
    assert "missing_sensor_success" in (tmp_path / "robot_loop.csv").read_text()
