"""A user's own package of one of our names gives one clear sentence that names the folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.shell.shadowing import Collision, collisions_in, hidden_packages

PROGRAM = str(Path(sys.executable).parent / "jepa-mpc")


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` as a notebook in `folder` would: the folder comes first on the path."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}  # this checkout, installed or not
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def package(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("mine = True\n")
    return folder / name


@pytest.mark.parametrize("name", ["envs", "planning", "worldmodel"])
def test_a_hidden_library_is_told_on_import(tmp_path: Path, name: str) -> None:
    theirs = package(tmp_path, name)
    done = python(tmp_path, "import experiments")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"ImportError: {theirs} hides jepa-mpc's own package `{name}`: rename it")


def test_a_single_file_hides_as_well(tmp_path: Path) -> None:
    (tmp_path / "envs.py").write_text("")
    done = python(tmp_path, "from experiments import results")
    assert f"ImportError: {tmp_path / 'envs.py'} hides jepa-mpc's own package `envs`" in done.stderr


@pytest.mark.parametrize("ours", ["worldmodel", "envs", "planning"])
@pytest.mark.parametrize("theirs", ["experiments", "worldmodel", "envs", "planning"])
def test_a_library_says_nothing_of_a_users_folders(tmp_path: Path, ours: str, theirs: str) -> None:
    """They need no other package of ours, and what a user calls a folder is none of their business."""
    if theirs != ours:
        package(tmp_path, theirs)
    done = python(tmp_path, f"import {ours}; assert not hasattr({ours}, 'mine')")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_without_init_hides_nothing(tmp_path: Path) -> None:
    for name in ("envs", "experiments"):
        (tmp_path / name).mkdir()
    done = python(tmp_path, "import envs, worldmodel, experiments.records.results as r; assert r.COLUMNS")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["envs", "worldmodel"])
def test_the_program_works_beside_a_package_that_hides_ours(tmp_path: Path, name: str) -> None:
    package(tmp_path, name)
    code = "import sys; sys.argv[0] = 'bin/jepa-mpc'; import experiments, %s as ours; assert not hasattr(ours, 'mine')"
    done = python(tmp_path, code % name)
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PYTHONPATH": "."}
    help_text = subprocess.run(
        [PROGRAM, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert help_text.returncode == 0, help_text.stderr


@pytest.mark.slow
def test_a_drive_works_beside_packages_that_hide_ours(tmp_path: Path) -> None:
    """Its simulator and its planner are processes of their own, which begin in the user's folder."""
    for name in ("envs", "planning", "worldmodel", "experiments"):
        package(tmp_path, name)
    words = ["drive", "checkpoint=published", "task=reacher", "seconds=1"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    code = f"import sys; sys.path[0] = {str(Path(__file__).parent.parent)!r}; from experiments.cli import main; "
    command = [sys.executable, "-c", f"{code} sys.exit(main({words!r}))"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    theirs = package(tmp_path, "experiments")
    (tmp_path / "planning.py").write_text("")
    (tmp_path / "envs").mkdir()
    found = collisions_in(tmp_path)
    assert found == [Collision("planning", tmp_path / "planning.py"), Collision("experiments", theirs / "__init__.py")]


def test_our_own_checkout_is_no_collision() -> None:
    assert collisions_in(Path(__file__).parent.parent) == []
    assert hidden_packages() == []
