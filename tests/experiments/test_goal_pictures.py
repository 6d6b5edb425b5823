"""Goals from picture files, as docs/pictures.md types them: write one, plan to it, drive to it."""

from __future__ import annotations

import json

import imageio.v3 as imageio
import numpy as np
import pytest

import envs
from envs.vision.camera import available
from experiments import cli
from experiments.build import compose
from experiments.commands import drive, export, picture, plan
from experiments.evaluation.goals.measure import measure
from experiments.pictures.goal import Target
from experiments.pictures.memory import memory_file
from experiments.pictures.png import write_png
from worldmodel.models.checkpoint import load_model

from .pictures.small import SIZE, save_small, seen_task

PLANNER = ("planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1", "planner.horizon=9")


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("goal_pictures"))


@pytest.fixture
def goal(tmp_path):
    """The picture that the command writes."""
    file = tmp_path / "goal.png"
    picture.run(compose("picture", "task=two_room", f"observation.size={SIZE}", "goal_at=[0.6,0.4]", f"out='{file}'"))
    return file


def settings(command, checkpoint, runs, *overrides):
    words = ("task=two_room", *PLANNER, f"checkpoint='{checkpoint}'", f"runs='{runs}'")
    return compose(command, *words, *overrides)


def test_the_picture_is_what_the_camera_sees_at_the_goal(goal, tmp_path):
    task = seen_task()
    np.testing.assert_array_equal(imageio.imread(goal), task.goal_observation(np.array([0.6, 0.4]))["pixels"])
    task.close()
    cfg = compose("picture", "task=fetch_reach", "observation.size=16", f"out='{tmp_path / 'two.png'}'")
    assert {name: file.name for name, file in picture.run(cfg).items()} == {
        "pixels": "two-pixels.png",
        "pixels_side": "two-pixels_side.png",
    }
    with pytest.raises(ValueError, match="stirred_tank has no MuJoCo model, and so no cameras"):
        picture.run(compose("picture", "task=stirred_tank"))


def test_plan_to_a_picture_whose_coordinates_nobody_knows(checkpoint, goal, tmp_path, capsys):
    given = (f"goal='{goal}'", "policies=[model,noop]", "episodes=3")
    rows = plan.run(settings("plan", checkpoint, tmp_path, *given))
    assert [(row.policy, row.episodes, row.successes, row.protocol) for row in rows] == [
        ("model", 3, None, "one_goal"),
        ("noop", 3, None, "one_goal"),
    ]
    said = " ".join(capsys.readouterr().out.split())
    assert "not known" in said and "steps to the goal of a picture, by the critic" in said
    noop = next(line for line in said.split("noop ")[1:])
    start, end = noop.split()[:2]
    assert start == end, "who stays is as far away as before"
    assert imageio.imread(tmp_path / "two_room-plan-goal.png").shape[-1] >= 3
    assert json.loads((tmp_path / "two_room-plan.json").read_text())["rows"][0]["success_rate"] is None
    with pytest.raises(ValueError, match="the row ceiling needs the coordinates .*: add goal_at"):
        plan.run(settings("plan", checkpoint, tmp_path, given[0], "policies=[ceiling]"))
    with pytest.raises(ValueError, match="a table of results needs the coordinates"):
        plan.run(settings("plan", checkpoint, tmp_path, given[0], f"results='{tmp_path / 'r.csv'}'"))


def test_a_picture_and_its_coordinates_are_one_goal(checkpoint, goal, tmp_path):
    """The plans are the same, bit for bit; and who knows the coordinates judges them."""
    cfg = settings("plan", checkpoint, tmp_path, "policies=[model]", "episodes=3", "latency_plans=1")
    loaded, at, seen = load_model(checkpoint), np.array([0.6, 0.4]), {"pixels": imageio.imread(goal)}
    targets = {"both": Target(seen, at), "picture": Target(seen, None), "coordinates": Target(None, at)}
    found = {name: measure(cfg, loaded, 0, target) for name, target in targets.items()}
    both, picture, coordinates = ([each.states for each in found[name].episodes["model"]] for name in targets)
    for one, other, longer in zip(both, coordinates, picture, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, longer[: len(one)])
    assert found["both"].rows[0].successes == found["coordinates"].rows[0].successes is not None
    assert found["picture"].rows[0].successes is None and "model" in found["picture"].approaches
    assert found["coordinates"].rows[0].plan_ms_p50 is not None, "the simulator's goal is measured as any other"


def test_a_picture_of_another_camera_is_one_sentence(checkpoint, goal, tmp_path, capsys):
    other = tmp_path / "other (1).png"
    write_png(other, np.roll(imageio.imread(goal), 5, axis=0))
    words = ["task=two_room", f"checkpoint={checkpoint}", *PLANNER]
    for command in (["plan"], ["drive", "timing=ideal"]):
        assert cli.main([*command, *words, f"goal={other}"]) == 2
        said = capsys.readouterr().err
        assert "is not a picture of the camera pixels" in " ".join(said.split()) and "Traceback" not in said
    assert cli.main(["plan", *words, f"goal={{pixels: {goal}, pixels_side: {goal}}}"]) == 2
    assert "goal has the sensor 'pixels_side', but the model has pixels" in " ".join(capsys.readouterr().err.split())


def test_drive_to_a_picture_with_a_checkpoint_and_a_bundle(checkpoint, goal, tmp_path, capsys):
    drives = ("timing=ideal", "episodes=1", f"goal='{goal}'")
    summary = drive.run(settings("drive", checkpoint, tmp_path, *drives))
    assert not summary.known and summary.successes == 0 and summary.episodes == 1 and len(summary.costs) == 1
    assert summary.steps == envs.make("two_room").budget
    said = capsys.readouterr().out
    assert "not known, 1 episode: add" in said and "cost of plans, first / last" in said
    assert (tmp_path / "two_room-drive-goal.png").is_file()
    bundle = tmp_path / "robot.bundle"
    export.run(settings("export", checkpoint, tmp_path, f"out='{bundle}'"))
    assert memory_file(bundle).read_bytes() == memory_file(checkpoint).read_bytes()
    cfg = compose("drive", f"bundle='{bundle}'", *drives, "goal_at=[0.6,0.4]", "seconds=1", f"runs='{tmp_path}'")
    summary = drive.run(cfg)
    assert summary.known
    write_png(goal, np.roll(imageio.imread(goal), 5, axis=0))
    with pytest.raises(ValueError, match="is not a picture of the camera pixels"):
        drive.run(cfg)
