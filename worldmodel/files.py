"""Files that are either complete or not there: what a kill, a full disk or a second reader may never see is a half."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write into a sibling first, to the disk, then in place of what was at `path`; missing folders are made.

    Raises:
      OSError: the disk is full, or the folder cannot be written; nothing half-written is left.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # A name of this process's own, opened as any file is, so that the result has the user's ordinary permissions.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = (
            f"{path} could not be written ({error.strerror}) and is as it was: free space, or choose another folder"
        )
        raise OSError(error.errno, reason) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
