"""The manifest of a result: everything needed to reproduce it.

Versions, commit, machine, configuration, seeds and command; no path of the machine and no name of its user, because
manifests are committed next to their rows.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from packaging.requirements import Requirement

from ..shell.shadowing import PROGRAM, ROOT
from .table_file import FORMAT, FORMAT_KEY

KEPT = ("python", PROGRAM, "jax", "flax", "mujoco", "numpy")  # versions that a model keeps


def manifest(cfg: DictConfig | Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """Return the provenance of a result, as JSON; call it in the process that measured.

    Args:
      cfg: the configuration; interpolations are resolved.
      seeds: every seed that the result depends on.
    """
    config = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else dict(cfg)
    return {
        "command": command(),
        "config": _without_paths(config),
        "seeds": [int(seed) for seed in seeds],
        "versions": versions(),
        FORMAT_KEY: FORMAT,
        "git": _git(),
        "device": _device(),
        "cpu": {"model": _cpu_model(), "cores": cores()},
        "system": f"{platform.system()} {platform.machine()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def provenance() -> dict[str, Any]:
    """Return the part of a manifest that a model keeps of its training: command, versions and device, as JSON."""
    known = {name: version for name, version in versions().items() if name in KEPT and version is not None}
    return {"command": command(), "versions": known, "device": _device()}


def command() -> str:
    """Command line that repeats this run; in a multirun, only this job."""
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized():
        job = HydraConfig.get()
        words = [PROGRAM, job.job.name, *job.overrides.task]
    else:
        words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return _without_paths(shlex.join(words))


def machine_of(made: Mapping[str, Any]) -> str:
    """Description of a manifest's machine: CPU, cores, accelerator and system."""
    cpu = made["cpu"]
    cores = "1 core" if cpu["cores"] == 1 else f"{cpu['cores']} cores"
    device = made.get("device")
    accelerator = "" if device is None or "(cpu)" in device else f", {device}"
    return f"{cpu['model']}, {cores}{accelerator}, {made['system']}"


def requirements() -> list[Requirement]:
    """Requirements of the installed distribution on this Python, with their version bounds."""
    needed = [Requirement(line) for line in importlib.metadata.requires(PROGRAM) or []]
    return [requirement for requirement in needed if requirement.marker is None or requirement.marker.evaluate()]


def versions() -> dict[str, str | None]:
    """Versions of Python, this distribution and its requirements; None for those not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in (PROGRAM, "jaxlib", *(requirement.name for requirement in requirements())):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def cores() -> int:
    """CPU cores available to this process: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git() -> dict[str, Any] | None:
    """Commit of the checkout, and whether the tree differs from it; None for an installed wheel."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None  # a wheel in an environment inside an unrelated repository
        # Results are written by runs: changes in them alone do not make the tree dirty.
        changed = git("status", "--porcelain", "--", ".", ":!experiments/results")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return None


def _device() -> str | None:
    """JAX device; None in a process that does not use JAX."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or "unknown"


def _without_paths(value: Any) -> Any:
    """Shorten absolute paths in a JSON value: relative below the working folder, otherwise only the last part.

    Non-finite numbers become strings.
    """
    if isinstance(value, Mapping):
        return {str(key): _without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity, and a bound may be infinite
    if not isinstance(value, str | os.PathLike):
        return value
    text = re.sub(rf"(?<![\w.]){re.escape(str(Path.cwd()))}(/|\b)", "", os.fspath(value)) or "."
    return re.sub(r"(?<![\w.~:/-])/(?:[^\s/'\",]+/)*(?=[^\s/'\",])", "…/", text)
