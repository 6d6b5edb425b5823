"""A self-repairing folder of compiled programs: damaged entries are deleted, recompiled and rewritten.

JAX leaves a damaged entry in place, and compiles the program at every start; or a damaged entry crashes the process,
because it is read as machine code. So each entry gets a seal: a hash of the entry and of this machine's
processor features, in a file next to it. An entry whose seal does not match is deleted before JAX sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import final

import jax

logger = logging.getLogger(__name__)

_ENTRY, _SEAL = "-cache", "-sha256"


@contextlib.contextmanager
def compilation_cache(folder: Path) -> Iterator[CompileCache]:
    """Set JAX's persistent compilation cache to `folder`, and restore the previous setting afterwards.

    A folder that cannot be used costs the time to compile, and a warning. An entry that JAX cannot read or write raises
    where it is compiled.
    """
    from jax.experimental.compilation_cache import compilation_cache as cache

    entries = CompileCache(folder)
    if not entries.prepare():
        yield entries
        return
    settings = {
        "jax_compilation_cache_dir": str(folder.resolve()),
        "jax_enable_compilation_cache": True,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_raise_persistent_cache_errors": True,
        # The folder's path would become part of the entries' keys, and a copy next to a copied bundle useless.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        cache.reset_cache()
        yield entries
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        cache.reset_cache()


@final
class CompileCache:
    """The entries of a cache folder, and their seals."""

    def __init__(self, folder: Path):
        self._folder, self._usable = folder, False
        self._machine = machine()

    def prepare(self) -> bool:
        """Delete damaged entries; returns whether the folder can be used."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for entry in self._folder.glob(f"*{_ENTRY}"):
                if self._hash(entry) != self._sealed(entry):
                    entry.unlink()
                    self._seal_of(entry).unlink(missing_ok=True)
            self._usable = True
        except OSError as error:
            logger.warning("%s cannot hold compiled programs, so they are recompiled: %s", self._folder, error)
        return self._usable

    def seal(self) -> None:
        """Write the seal of each entry without one. An entry without a seal at the next start counts as incomplete."""
        if not self._usable:
            return
        try:
            for entry in self._folder.glob(f"*{_ENTRY}"):
                seal = self._seal_of(entry)
                if not seal.exists():
                    temporary = seal.with_name(f"{seal.name}.{os.getpid()}.{threading.get_ident()}")
                    temporary.write_text(self._hash(entry))
                    os.replace(temporary, seal)
        except OSError as error:
            logger.warning("the compiled programs in %s cannot be kept: %s", self._folder, error)

    def clear(self, reason: object) -> None:
        """Delete everything: unreadable entries are compiled without the cache, and written again another time."""
        if not self._usable:
            return
        logger.warning("the compiled programs in %s are not usable, and are deleted: %.200s", self._folder, reason)
        with contextlib.suppress(OSError):
            for file in [*self._folder.glob(f"*{_ENTRY}"), *self._folder.glob(f"*{_SEAL}")]:
                file.unlink(missing_ok=True)

    def _hash(self, entry: Path) -> str:
        return hashlib.sha256(self._machine + entry.read_bytes()).hexdigest()

    def _sealed(self, entry: Path) -> str | None:
        try:
            return self._seal_of(entry).read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _seal_of(self, entry: Path) -> Path:
        return entry.with_name(entry.name.removesuffix(_ENTRY) + _SEAL)


def machine() -> bytes:
    """Return the processor features that machine code depends on."""
    features = platform.machine().encode()
    with contextlib.suppress(OSError):  # only Linux has it
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
        features += next((line for line in lines if line.startswith((b"flags", b"Features"))), b"")
    return features
