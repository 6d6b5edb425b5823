"""The package of docs/plugins.md, built and installed beside jepa-mpc, goes wherever a name of ours does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..pages import ROOT, blocks

BROKEN = """
[project.entry-points."jepa_mpc.planners"]
broken = "my_broken:Planner"
cem = "my_planner:MyPlanner"
twice = "my_planner:MyPlanner"
number = "my_planner:STATIC"

[project.entry-points."jepa_mpc.tasks"]
fetch_reach = "my_task:Point"
no_task = "my_wrong:make"
fails = "my_wrong:fail"
"""
TINY = ("planner.num_samples=16", "planner.horizon=6", "planner.iterations=1", "episodes=2", "latency_plans=1")


def build(folder: Path, site: Path, project: str) -> None:
    """Build the wheel of a folder, and install it without what it depends on."""
    (folder / "pyproject.toml").write_text(project)
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(built, cwd=folder, check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, *map(str, (folder / "dist").glob("*.whl"))], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the example of the page, and one that is wrong in every way."""
    site, folder, other = (tmp_path_factory.mktemp(name) for name in ("site", "my-robot", "wrong"))
    page = blocks(ROOT / "docs" / "plugins.md")
    for block in page:
        if block.file:
            (folder / block.file).write_text(block.text)
    (project,) = (block.text for block in page if "[project]" in block.text)
    build(folder, site, project)
    (other / "my_broken.py").write_text("import a_module_that_is_nowhere\n")
    (other / "my_wrong.py").write_text("def make(render_mode):\n    return {}\n\n\ndef fail():\n    pass\n")
    head = project.partition("[project.entry-points")[0].replace("my-robot", "wrong")
    tail = '\n[tool.hatch.build.targets.wheel]\nonly-include = ["my_broken.py", "my_wrong.py"]\n'
    build(other, site, head + BROKEN + tail)
    build(
        other,
        site,
        head.replace("wrong", "another") + BROKEN.partition("cem =")[0].replace("broken =", "twice =") + tail,
    )
    return site


def call(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"}
    command = [sys.executable, "-m", "experiments.cli", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def rows(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["rows"]


@pytest.mark.parametrize(
    ("what", "column", "name"),
    [
        ("tasks", "task", "my_point"),
        ("planners", "planner", "my_planner"),
        ("costs", "cost", "my_cost"),
        ("encoders", "encoder", "my_encoder"),
    ],
)
def test_lists_name_what_is_installed_and_import_none_of_it(
    site: Path, tmp_path: Path, what: str, column: str, name: str
) -> None:
    found = {row[column]: row["what"] for row in rows(call(site, tmp_path, "list", what, "format=json"))}
    assert found[name].endswith("of my-robot 1.0")
    assert what != "planners" or {"broken", "twice", "number"} < set(found)  # listed, though they cannot be imported


def test_a_planner_and_a_cost_plan(site: Path, tmp_path: Path) -> None:
    words = ["plan", "task=reacher", "checkpoint=published", "policies=[model]", "format=json", *TINY]
    chosen = ["planner=my_planner", "planner/parameterization=blocks", "planner.parameterization.size=3"]
    done = call(site, tmp_path, *words, *chosen, "+cost=my_cost", "cost.my_cost.weight=0.1", "cost.my_cost.scale=2")
    (row,) = rows(done)
    assert (row["planner"], row["episodes"]) == ("myplanner", 2)
    stored = json.loads((tmp_path / "runs" / "reacher-plan.json").read_text())["manifest"]["config"]
    assert stored["planner"]["_target_"] == "my_planner.MyPlanner"
    assert stored["planner"]["parameterization"] == {"_target_": "planning.Blocks", "size": 3}
    assert stored["cost"]["my_cost"] == {"_target_": "my_cost.Smoothness", "scale": 2, "weight": 0.1}
    assert set(stored["cost"]) == {"distance", "my_cost"}


def test_costs_can_be_listed_side_by_side_and_a_wrong_field_is_named(site: Path, tmp_path: Path) -> None:
    done = call(site, tmp_path, "plan", "task=reacher", "cost=[goal_distance,my_cost]", "--cfg", "job")
    assert done.returncode == 0 and "my_cost.Smoothness" in done.stdout and "planning.GoalDistance" in done.stdout
    done = call(site, tmp_path, "plan", "planner=my_planner", "planner.num_elites=3")
    assert done.returncode == 2
    assert "planner.num_elites is not a setting of `jepa-mpc plan`" in done.stderr


def test_a_task_is_collected_and_trained_on(site: Path, tmp_path: Path) -> None:
    small = ["collection.episodes=20", "collection.steps=20", "training.updates=20", "training.frozen_updates=20"]
    small += ["training.critic_updates=0", "model.policy=false", "training.updates_per_call=20"]
    small += [
        "model.width=16",
        "model.ensemble=2",
        "training.batch=16",
        "training.critic_batch=8",
        "model.train_blocks=2",
    ]
    done = call(site, tmp_path, "plan", "task=my_point", "format=json", "policies=[model,random]", *TINY, *small)
    found = rows(done)
    assert [(row["task"], row["policy"]) for row in found] == [("my_point", "model"), ("my_point", "random")]
    assert (tmp_path / "runs" / "my_point-seed0-data").is_dir()
    (model,) = (row for row in rows(call(site, tmp_path, "list", "models", "format=json")) if row["task"] == "my_point")
    assert model["checkpoint"] == "runs/my_point-seed0.safetensors"
    assert model["success_rate"] == found[0]["success_rate"] and model["episodes"] == 2
    sensors = rows(call(site, tmp_path, "list", "sensors", "task=my_point", "format=json"))
    assert [(row["sensor"], row["shape"]) for row in sensors] == [("state", [4])]


ENCODED = """
import jax
import numpy as np
from flax import nnx
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.observation import ObservationSpec, Sensor

spec = ObservationSpec((Sensor("pixels", (16, 16, 3), dtype="uint8", features=12),))
config = ModelConfig(spec, 2, latent_size=4, width=8, head_width=8, ensemble=1, pictures="my_encoder")
save_model("model.safetensors", create(config, 0), config)
model = load_model("model.safetensors").model
pictures = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), np.uint8)
assert model.embed(model.params, {"pixels": pictures}).shape == (5, 12)
"""


def test_an_encoder_is_a_part_of_a_model(site: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"}
    run = [sys.executable, "-c", ENCODED]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        run, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (
        "model.pictures must be patches or components or motion or motion_twice or transformer or convolution; "
        "got 'my_encoder'" in done.stderr
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["planner=broken"],
            "the planner broken of wrong 1.0 cannot be loaded from my_broken:Planner (ModuleNotFoundError: No module "
            "named 'a_module_that_is_nowhere'): repair or update that package, or remove it with `pip uninstall wrong`",
        ),
        (
            ["planner=cem"],
            "wrong 1.0 registers the planner cem, which is the name of one of jepa-mpc's own: rename its entry point "
            "in jepa_mpc.planners, or remove it with `pip uninstall wrong`",
        ),
        (
            ["planner=twice"],
            "another 1.0 and wrong 1.0 each register the planner twice: remove all but one of them with `pip "
            "uninstall`",
        ),
        (
            ["planner=number"],
            "the planner number of wrong 1.0 is my_planner:STATIC, which is no dataclass: register the class itself, "
            "whose fields are its settings (docs/plugins.md)",
        ),
        (
            ["task=fetch_reach"],
            "wrong 1.0 registers the task fetch_reach, which is the name of one of jepa-mpc's own: rename its entry "
            "point in jepa_mpc.tasks, or remove it with `pip uninstall wrong`",
        ),
        (
            ["task=no_task"],
            "the task no_task of wrong 1.0 is dict: my_wrong:make has to return an envs.Task or a Gymnasium goal "
            "environment (docs/plugins.md)",
        ),
        (
            ["task=fails"],
            "the task fails of wrong 1.0 cannot be made by my_wrong:fail (TypeError: fail() got an unexpected keyword "
            "argument 'render_mode'): it is called with render_mode=None (docs/plugins.md)",
        ),
        (
            ["planner=my_planer"],
            "planner=my_planer is not known: planner can be broken, cem, elite_mppi, gradient, hierarchy, icem, "
            "landmarks, mppi, my_planner, number, predictive_sampling, twice; did you mean my_planner?",
        ),
        (
            ["-m", "task=my_point,reacher"],
            "task=my_point,reacher mixes my_point, a task of my-robot 1.0, with reacher: sweep over them in two "
            "commands",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(site: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    done = call(site, tmp_path, "collect", *words)
    assert (done.returncode, done.stderr) == (2, f"jepa-mpc: {sentence}\n")


def test_doctor_imports_every_plugin(site: Path, tmp_path: Path) -> None:
    found = {row["name"]: row for row in rows(call(site, tmp_path, "doctor", "format=json", "min_free_gib=0"))}
    assert found["planner my_planner"] == {
        "name": "planner my_planner",
        "state": "ok",
        "found": "my-robot 1.0",
        "fix": "",
    }
    assert found["encoder my_encoder"]["state"] == "ok"
    assert (found["planner broken"]["state"], found["planner broken"]["fix"]) == (
        "warning",
        "repair or update that package, or remove it with `pip uninstall wrong`",
    )
    assert found["planner cem"]["state"] == found["planner twice"]["state"] == "warning"


def test_the_libraries_find_plugins_alike() -> None:
    """They do not import one another, so each has the file."""
    here, there = ((ROOT / package / "plugins.py").read_text() for package in ("envs", "worldmodel"))
    assert here.replace("worldmodel/plugins.py", "envs/plugins.py") == there
