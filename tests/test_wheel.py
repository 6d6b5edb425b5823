"""The wheel holds the four packages, the YAML and the MJCF, and works far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sources as they are, without the network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder


def run(installed: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_top_level_is_the_four_packages(wheel: Path) -> None:
    top = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    (metadata,) = (name for name in top if name.endswith(".dist-info"))
    assert top - {metadata} == {"worldmodel", "planning", "envs", "experiments"}


def test_everything_a_command_needs_is_inside(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    packages = [ROOT / name for name in ("worldmodel", "planning", "envs", "experiments")]
    code = {file.relative_to(ROOT).as_posix() for package in packages for file in package.rglob("*.py")}
    mjcf = {file.relative_to(ROOT).as_posix() for file in (ROOT / "envs").rglob("*.xml")}
    yaml = {f"experiments/{file.relative_to(ROOT).as_posix()}" for file in (ROOT / "configs").rglob("*.yaml")}
    scores = {"experiments/comparison/dmc.csv"}
    typed = {f"{package.name}/py.typed" for package in packages}
    assert code and mjcf and yaml
    assert (code | mjcf | yaml | scores | typed) - inside == set()
    assert not [name for name in inside if name.endswith(".pyc")]


def test_help_from_a_foreign_folder(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, str(installed / "bin" / "jepa-mpc"), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: jepa-mpc COMMAND" in done.stdout


def test_commands_read_the_yaml_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = "import experiments.shell.folders; print(experiments.shell.folders.config_dir())"
    done = run(installed, tmp_path, sys.executable, "-c", where)
    assert Path(done.stdout.strip()) == (installed / "experiments" / "configs").resolve(), done.stderr


def test_doctor_from_a_foreign_folder(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, str(installed / "bin" / "jepa-mpc"), "doctor", "min_free_gib=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mujoco" in done.stdout
    assert list(tmp_path.iterdir()) == []
