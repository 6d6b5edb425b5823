"""Files that are either complete or unchanged: no crash, full disk or concurrent writer leaves half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

_FIXES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, for the quota is used up",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.EISDIR: "choose another name, or remove the folder",
}


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write a file next to `path`, sync it to disk, and rename it to `path`; missing folders are created.

    Any number of threads, processes and containers may write the same path at once: the last one wins. A new file gets
    the permissions that the umask allows, an existing one keeps its permissions; a symbolic link keeps its target.

    Raises:
      OSError: the disk is full, the folder cannot be written to, or `path` is not a regular file; it is unchanged and
        nothing else is left behind.
    """
    # File names may hold bytes that are not UTF-8, and a command line with such a name ends up in many text files.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    # Process ids repeat in containers that share a disk. The name is short because that of `path` may be the longest.
    temporary = target.with_name(f".jepa-mpc-{secrets.token_hex(8)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode(target)
        with temporary.open("xb") as file:
            if mode is not None:
                with contextlib.suppress(OSError):  # a file system without permissions
                    temporary.chmod(mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        fix = _FIXES.get(error.errno or 0, "choose another path")
        raise OSError(
            error.errno, f"{path} could not be written ({error.strerror}): {fix}; nothing was changed"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _mode(target: Path) -> int | None:
    """Permissions of an existing file; None if there is no file."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):  # renaming onto /dev/null would replace the device for every process
        raise OSError(errno.EINVAL, "it is a device, not a file")
    return stat.S_IMODE(mode)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can sync folders."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
