"""Files that are either complete or not there: what a kill, a full disk or a second reader may never see is a half."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write to a temporary sibling, flush it to the disk, then rename it over `path`.

    Raises:
      OSError: nothing was written and whatever stood at `path` is unharmed; a full disk is named as such.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                f"the disk is full: {path.name} needs {len(content) / 1e6:.1f} MB and was not written; "
                "free some space and run the same command again",
            ) from error
        raise
