"""Folder of a new Minari dataset: it appears complete or not at all, and a full disk ends in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DATA_FILE = "main_data.hdf5"  # Minari's HDF5 storage without its metadata


@contextmanager
def new_folder(path: Path, needed: int) -> Iterator[Path]:
    """Give a folder next to `path`, which becomes `path` at the end; after an error nothing is left.

    Args:
      path: of the dataset; it must not exist yet.
      needed: bytes that the dataset may take.

    Raises:
      FileExistsError: something is at `path` already.
      OSError: the disk is full, or `path` cannot be written.
    """
    if path.exists():
        raise FileExistsError(f"there is something at {path} already: choose another path or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < needed:
        raise _full(path, needed)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent.resolve()))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        partial.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error):
            raise _full(path, needed) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # already renamed after success


def begin(file: Path) -> None:
    """Make the HDF5 file of a dataset without episodes: Minari's own is of no bytes, and space is reserved behind some.

    Args:
      file: of no bytes, or missing.
    """
    import h5py

    file.touch()
    h5py.File(file, "a", track_order=True).close()


def reserve(file: Path, size: int) -> None:
    """Claim disk space behind the end of an HDF5 file, or raise OSError: HDF5 itself crashes where a write fails.

    HDF5 uses the space when it opens the file, and frees the excess when it closes it.

    Args:
      file: not empty.
      size: bytes.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS: only the check of free space applies
        return
    with file.open("r+b") as opened:
        try:
            os.posix_fallocate(opened.fileno(), file.stat().st_size, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot reserve
                raise


def _full(path: Path, needed: int) -> OSError:
    error = OSError(
        f"the disk is full, or a quota used up: {needed / 1e6:.1f} MB needed at {path.parent}, "
        f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB free; nothing was written"
    )
    error.errno = errno.ENOSPC  # as an argument of the constructor, it would prefix the message
    return error
