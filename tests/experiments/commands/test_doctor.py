from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.commands import doctor
from experiments.commands.doctor import Check, exit_code
from experiments.records.manifest import requirements


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    return OmegaConf.create({"runs": "runs", "min_free_gib": 0})


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_looks_at_everything_and_leaves_nothing(cfg, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks = by_name(doctor.run(cfg))
    assert exit_code(list(checks.values())) == 0
    assert {"python", "jax devices", "cores", "rendering", "video encoder", "runs folder", "disk space"} <= set(checks)
    assert {requirement.name for requirement in requirements()} <= set(checks)
    assert all(check.fix for check in checks.values() if check.state != "ok")
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr().out
    assert all(name[:12] in shown for name in checks)


def test_a_version_out_of_bounds_fails_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.importlib.metadata.version
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "4.0.0" if name == "mujoco" else real(name))
    check = by_name(list(doctor.check_versions()))["mujoco"]
    assert check.state == "failed"
    assert check.found.startswith("4.0.0, needs ")
    assert check.fix.startswith('pip install "mujoco')
    assert exit_code([check]) == 1


def test_a_missing_package_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", absent)
    assert {check.state for check in doctor.check_versions()} == {"failed"}


def test_rendering_without_a_backend_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    check = doctor.check_rendering()
    assert check.state == "warning"
    assert "MUJOCO_GL" in check.found
    assert "libegl1" in check.fix


def test_a_folder_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    check = doctor.check_folder("runs folder", tmp_path / "runs", "failed", "choose another")
    assert (check.state, check.fix) == ("failed", "choose another")


def test_too_little_space_fails(tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path / "not" / "there", 1e9).state == "failed"
    assert doctor.check_disk(tmp_path / "not" / "there", 0.0).state == "ok"


def test_a_collision_in_this_folder_is_a_warning(cfg, tmp_path: Path) -> None:
    (tmp_path / "envs.py").write_text("")
    (check,) = doctor.check_names()
    assert (check.name, check.state) == ("name envs", "warning")
    assert str(tmp_path / "envs.py") in check.found
