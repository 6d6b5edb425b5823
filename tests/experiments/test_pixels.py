"""Pictures and proprioception, from data to a drive and its replay."""

from __future__ import annotations

import imageio.v3
import numpy as np
import pytest

from envs.vision.camera import available
from experiments.build import compose, goal_tasks
from experiments.build.recipes import Paths
from experiments.commands import drive, export, plan, replay, train
from experiments.commands.data import collect
from experiments.pictures.memory import load_memory
from experiments.pictures.png import write_png
from planning.control import Bundle, Controller
from worldmodel.data.dataset import load
from worldmodel.nets.encoders.build import sized

from .recipe import settings

SMALL = ("task=two_room", "model.ensemble=1", "observation.features=128")


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


def test_collect_train_plan_export_drive_replay(tmp_path, capsys):
    runs, small = tmp_path / "runs", (*SMALL, "observation=pixels_proprio")
    collect.run(settings("collect", runs, *small))
    data = load(runs / "two_room-pixels_proprio-seed0-data")
    assert [(sensor.name, sensor.optional) for sensor in data.spec.sensors] == [("pixels", True), ("proprio", True)]
    trained = train.run(settings("train", runs, *small))
    assert trained.model.observation == sized(data.spec, "components", 128)
    file = runs / "two_room-pixels_proprio-seed0.safetensors"
    assert load_memory(file, data.spec, trained.model.latent_size).frames["pixels"].shape[1:] == (64, 64, 3)
    goal = tmp_path / "goal.png"  # a goal of the camera alone: the model knows what the other sensor may be
    write_png(goal, np.asarray(data.readings["pixels"][7]))
    words = (f"checkpoint='{file}'", "policies=[model]", "episodes=1", f"goal={{pixels: '{goal}', proprio: [0,0]}}")
    assert plan.run(settings("plan", runs, *words))[0].successes is None
    assert plan.run(settings("plan", runs, *words[:3], f"goal='{goal}'"))[0].protocol == "one_goal"
    rows = plan.run(settings("plan", runs, f"checkpoint='{file}'", "policies=[model,reflex,random]"))
    assert [(row.observation, row.policy) for row in rows] == [
        ("pixels_proprio", policy) for policy in ("model", "reflex", "random")
    ]
    bundle, log = tmp_path / "own.bundle", tmp_path / "run.jsonl"
    export.run(settings("export", runs, f"checkpoint='{file}'", f"out='{bundle}'"))
    assert "sensors pixels, proprio" in capsys.readouterr().out
    summary = drive.run(
        settings("drive", runs, f"bundle='{bundle}'", "timing=ideal", "episodes=1", f"telemetry='{log}'")
    )
    assert summary.episodes == 1
    replayed = replay.run(compose("replay", f"log='{log}'", f"bundle='{bundle}'"))
    assert replayed.plans == summary.steps and not replayed.different and replayed.same_bundle
    assert isinstance(replayed, replay.Replayed)
    assert (replayed.frames.same, replayed.frames.different, replayed.frames.missing) == (summary.steps, [], 0)
    assert replay.exit_code(replayed) == 0
    with pytest.raises(ValueError, match="add bundle=FILE"):
        replay.run(compose("replay", f"log='{log}'"))
    (picture,) = replay.run(compose("replay", f"log='{log}'", "moment=1.0", f"out='{tmp_path / 'seen.png'}'"))
    assert imageio.v3.imread(picture).shape == (64, 64, 3)

    task, controller = goal_tasks.of_model(trained), Controller.load(bundle)
    rng = np.random.default_rng(0)
    state, goal = task.sample_pair(rng)
    seen, wanted = task.observe(state), task.goal_observation(goal)
    controller.warmup()
    controller.reset(goal=wanted, seed=0)
    whole = controller.act(seen)
    controller.reset(goal=wanted, seed=0)
    blind = controller.act({"proprio": seen["proprio"]})
    assert whole.shape == blind.shape == (2,) and not np.array_equal(whole, blind)
    blue = {**seen, "pixels": seen["pixels"][..., ::-1].copy()}
    fresh = Controller.load(bundle)
    with pytest.raises(ValueError, match="the picture of the sensor pixels fits the training data with its channels"):
        fresh.reset(goal={**wanted, "pixels": wanted["pixels"][..., ::-1].copy()})
    fresh.reset(goal=wanted, seed=0)
    with pytest.raises(ValueError, match="the picture of the sensor pixels fits the training data with its channels"):
        fresh.act(blue)
    assert Bundle.load(bundle).contract.observation.sensors[0].dtype == "uint8"


def test_any_list_of_sensors_is_an_observation():
    cfg = compose("train", "task=reacher", "observation=[pixels,proprio]")
    assert list(cfg.observation.sensors) == ["pixels", "proprio"] and cfg.model.history == 3
    assert Paths.of(cfg, 1).model.name == "reacher-pixels_proprio-seed1.safetensors"
    cfg = compose("train", "task=reacher", "observation=[proprio]")
    assert list(cfg.observation.sensors) == ["proprio"] and cfg.model.history == 2
    assert [sensor.name for sensor in goal_tasks.of(cfg).sensors] == ["proprio"]


def test_a_task_without_these_sensors_says_so():
    with pytest.raises(ValueError, match="stirred_tank is observed by temperature, composition, coolant alone"):
        goal_tasks.of(compose("train", "task=stirred_tank", "observation=pixels"))
    with pytest.raises(ValueError, match="reacher has no sensor 'sonar': choose from state, proprio, tip, pixels"):
        goal_tasks.of(compose("train", "task=reacher", "observation=[sonar]"))
