"""A folder of compiled programs that heals: what is damaged is deleted, compiled once more, and written again.

JAX leaves a damaged entry where it is, and compiles the program at every start; or a damaged entry takes the process
down with it, for it is read as machine code. So each entry gets a seal: a hash of the entry and of what this machine's
processor can do, in a file beside it. An entry whose seal does not fit is deleted before JAX sees it.
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
    """JAX's persistent compilation cache in `folder`, and afterwards where it was before.

    A folder that cannot be used costs the time to compile, and a warning. An entry that JAX cannot read or write raises
    where it is compiled.
    """
    from jax.experimental.compilation_cache import compilation_cache as cache

    entries = CompileCache(folder)
    if not entries.prepare():
        yield entries
        return
    wanted = {
        "jax_compilation_cache_dir": str(folder.resolve()),
        "jax_enable_compilation_cache": True,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_raise_persistent_cache_errors": True,
        # The folder's path would become a part of what entries are found by, and a copy beside a copied bundle useless.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    try:
        for name, value in wanted.items():
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
        """Delete what is not whole. Whether the folder can be used."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for entry in self._folder.glob(f"*{_ENTRY}"):
                if self._hash(entry) != self._sealed(entry):
                    entry.unlink()
                    self._seal_of(entry).unlink(missing_ok=True)
            self._usable = True
        except OSError as error:
            logger.warning("%s cannot hold compiled programs, so they are compiled again: %s", self._folder, error)
        return self._usable

    def seal(self) -> None:
        """Write the seal of each entry that has none. What has none at the next start is taken for half an entry."""
        if not self._usable:
            return
        try:
            for entry in self._folder.glob(f"*{_ENTRY}"):
                seal = self._seal_of(entry)
                if not seal.exists():
                    beside = seal.with_name(f"{seal.name}.{os.getpid()}.{threading.get_ident()}")
                    beside.write_text(self._hash(entry))
                    os.replace(beside, seal)
        except OSError as error:
            logger.warning("the compiled programs in %s cannot be kept: %s", self._folder, error)

    def clear(self, reason: object) -> None:
        """Delete everything: what cannot be read or written is compiled without, and another time written anew."""
        if not self._usable:
            return
        logger.warning("the compiled programs in %s are of no use, and are deleted: %.200s", self._folder, reason)
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
    """What machine code for this processor depends on."""
    words = platform.machine().encode()
    with contextlib.suppress(OSError):  # Linux alone has it
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
        words += next((line for line in lines if line.startswith((b"flags", b"Features"))), b"")
    return words
