"""Check of this machine: versions, devices, rendering, folders and names, each with its fix."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig
from packaging.specifiers import SpecifierSet
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..records.manifest import cores, requirements
from ..shell.folders import cache_dir
from ..shell.plugins import KINDS, plugins
from ..shell.shadowing import PROGRAM, collisions_in, hidden_packages

State = Literal["ok", "warning", "failed"]
GIB = 2**30

# Each is tried in a separate process: MuJoCo reads MUJOCO_GL once, a bad driver can take a process down, and starting
# ffmpeg from a process that runs JAX is not safe.
RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    raise SystemExit(None if renderer.render().any() else "the picture is black")
"""
ENCODE = """
import tempfile
import imageio_ffmpeg
with tempfile.TemporaryDirectory() as folder:
    writer = imageio_ffmpeg.write_frames(f"{folder}/probe.mp4", (32, 32), ffmpeg_log_level="error")
    writer.send(None)
    writer.send(bytes(32 * 32 * 3))
    writer.close()
print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
"""


@dataclass(frozen=True)
class Check:
    """Result of one check: a warning is a drawback, a failure must be fixed before the other commands work."""

    name: str
    state: State
    found: str
    fix: str = ""


def run(cfg: DictConfig) -> list[Check]:
    """Run all checks, print the table, and return the checks in its order."""
    runs = Path(cfg.runs)
    checks = [
        _python(),
        *check_versions(),
        _devices(),
        _cores(),
        _memory(),
        check_rendering(),
        _video(),
        check_folder("runs folder", runs, "failed", f"choose another with `{PROGRAM} COMMAND runs=FOLDER`"),
        check_folder("compilation cache", _cache(), "warning", "set JAX_COMPILATION_CACHE_DIR to a folder of yours"),
        check_disk(runs, float(cfg.min_free_gib)),
        *check_names(),
        *check_plugins(),
    ]
    Console().print(table(checks))
    return checks


def exit_code(checks: Sequence[Check]) -> int:
    """Exit code: 1 if a required check fails."""
    return int(any(check.state == "failed" for check in checks))


def table(checks: Sequence[Check]) -> Table:
    """The checks as a table for the terminal."""
    colours = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    result = Table(title=f"{PROGRAM} {importlib.metadata.version(PROGRAM)}", title_justify="left")
    for column in ("", "check", "found", "fix"):
        result.add_column(column, overflow="fold")
    for check in checks:
        state = f"[{colours[check.state]}]{check.state}[/]"
        result.add_row(state, check.name, escape(check.found), escape(check.fix))
    return result


def _python() -> Check:
    bounds = importlib.metadata.metadata(PROGRAM)["Requires-Python"] or ""
    version = platform.python_version()
    good = SpecifierSet(bounds).contains(version, prereleases=True)
    return Check("python", "ok" if good else "failed", version, "" if good else f"use a Python {bounds}")


def check_versions() -> Iterator[Check]:
    """Check every dependency against the version bounds of this distribution."""
    for requirement in requirements():
        fix = f'pip install "{requirement}"'
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(requirement.name, "failed", "not installed", fix)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            yield Check(requirement.name, "ok", version)
        else:
            yield Check(requirement.name, "failed", f"{version}, needs {requirement.specifier}", fix)


def _attempt(name: str, state: State, fix: str, look: Callable[[], str]) -> Check:
    """Run a check: `look` returns its finding, and any exception that it raises becomes the failure."""
    try:
        return Check(name, "ok", look())
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        return Check(name, state, reason, fix)


def _output(code: str, **environment: str) -> str:
    """Output of a Python program in a separate process; RuntimeError with its last line if it fails."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"ended with code {done.returncode} and no word")
    return done.stdout.strip()


def _devices() -> Check:
    def look() -> str:
        import jax

        return ", ".join(f"{device.device_kind} ({device.platform})" for device in jax.devices())

    return _attempt("jax devices", "failed", "set JAX_PLATFORMS=cpu, or fix the accelerator's driver", look)


def _cores() -> Check:
    few = cores() < 2
    return Check("cores", "warning" if few else "ok", str(cores()), "expect about twice the time" if few else "")


def _memory() -> Check:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    low = gib < 3
    return Check("memory", "warning" if low else "ok", f"{gib:.1f} GiB", "3 GiB are comfortable" if low else "")


def check_rendering() -> Check:
    """Check that a frame can be rendered off screen."""
    backend = os.environ.get("MUJOCO_GL") or ("egl" if sys.platform == "linux" else "")

    def look() -> str:
        _output(RENDER, MUJOCO_GL=backend)
        return f"MuJoCo draws{f' with {backend}' if backend else ''}"

    fix = "apt-get install libegl1 libgl1-mesa-dri (Debian, Ubuntu); until then pictures are drawn in 2D"
    return _attempt("rendering", "warning", fix, look)


def _video() -> Check:
    fix = "pip install --force-reinstall imageio-ffmpeg"
    return _attempt("video encoder", "failed", fix, lambda: _output(ENCODE))


def _cache() -> Path:
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or cache_dir())


def _existing(folder: Path) -> Path:
    """Return the folder, or its closest existing parent."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def check_folder(name: str, folder: Path, state: State, fix: str) -> Check:
    """Check that a folder is writable."""

    def look() -> str:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return f"{folder} can be written"

    return _attempt(name, state, fix, look)


def check_disk(folder: Path, needed_gib: float) -> Check:
    """Check that enough disk space is free."""
    free = shutil.disk_usage(_existing(folder)).free / GIB
    good = free >= needed_gib
    fix = "" if good else f"free some: {needed_gib:g} GiB are wanted"
    return Check("disk space", "ok" if good else "failed", f"{free:.1f} GiB free", fix)


def check_names() -> Iterator[Check]:
    """Check for missing packages of the project, and for local files that would shadow them in a notebook."""
    hidden = {collision.name: collision for collision in hidden_packages()}
    nearby = {collision.name: collision for collision in collisions_in(Path.cwd())}
    for name, collision in {**nearby, **hidden}.items():
        state: State = "failed" if name in hidden else "warning"
        yield Check(f"name {name}", state, f"{collision.file} hides ours", "rename it, or work in another folder")
    if not nearby and not hidden:
        yield Check("names", "ok", "nothing here hides a package of ours")


def check_plugins() -> Iterator[Check]:
    """Import what other packages add to jepa-mpc: only the commands that ask for a broken one are affected."""
    for kind in KINDS:
        known = plugins(kind)
        for name, found in sorted(known.found().items()):
            try:
                known.load(name)
            except ValueError as error:
                reason, _, fix = str(error).rpartition(": ")
                yield Check(f"{kind} {name}", "warning", reason, fix)
            else:
                yield Check(f"{kind} {name}", "ok", found[0].package)
