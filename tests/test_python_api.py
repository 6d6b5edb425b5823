"""What users of the packages import, and the example that needs no Hydra: from arrays to a controller and a bundle."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from planning.control import Controller
from worldmodel import load_model

from .pages import ROOT, blocks

PACKAGES = ("worldmodel", "planning", "planning.control", "envs")
GOAL = np.array([0.5, -0.5])


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The names that docs/python.md leaves behind, up to its bundle, and the folder that it ran in."""
    folder, names = tmp_path_factory.mktemp("example"), dict[str, Any]()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in (each for each in blocks(ROOT / "docs/python.md") if each.info == "python"):
            exec(compile(block.text, str(block), "exec"), names)
            if "Bundle" in names:
                break
    return names, folder


def controller(names: dict[str, Any]) -> Controller:
    """A controller of the page's agent, without a deadline."""
    made = Controller(names["agent"])
    made.warmup()
    return made


def drive(controller: Controller) -> list[np.ndarray]:
    """The path of the point for 20 steps."""
    path = [np.zeros(2)]
    controller.reset(goal=GOAL, seed=0)
    for _ in range(20):
        path.append(path[-1] + 0.1 * controller.act(path[-1]))
    return path


def test_a_model_from_arrays_reaches_its_goal(example):
    names, _ = example
    assert np.linalg.norm(names["point"] - GOAL) < 0.1
    path = drive(controller(names))
    assert np.linalg.norm(path[0] - GOAL) > 0.7
    assert np.linalg.norm(path[-1] - GOAL) < 0.1


def test_it_is_saved_and_loaded_and_driven_from_its_bundle(example):
    names, folder = example
    found = load_model(folder / "runs/point.safetensors")
    assert found.metadata == {"task": names["robot"]} and found.model.config == names["config"]
    for ours, theirs in zip(jax.tree.leaves(names["model"]), jax.tree.leaves(found.model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    robot = Controller.load(folder / "runs/point.bundle")
    robot.warmup()
    assert robot.engine.contract.task == "point"
    np.testing.assert_array_equal(drive(robot), drive(controller(names)))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_exist(package):
    module = importlib.import_module(package)
    assert module.__all__ == sorted(set(module.__all__))
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("package", ("worldmodel", "planning", "envs", "experiments"))
def test_packages_are_typed_and_know_their_version(package):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert importlib.import_module(package).__version__ == version
    assert (ROOT / package / "py.typed").is_file()


def test_type_checkers_and_python_import_worldmodels_names_from_the_same_modules():
    module = importlib.import_module("worldmodel")
    tree = ast.parse((ROOT / "worldmodel/__init__.py").read_text())
    checked = {
        alias.name: f".{node.module}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert checked == module._HOMES
    assert sorted(checked) == module.__all__


def test_whole_files_are_written_without_jax():
    code = "import worldmodel, worldmodel.files, worldmodel.data.csv_table, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
