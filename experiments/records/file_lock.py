"""File lock for one writer at a time: held while a file is read, changed and written back."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of the file at `path` among threads, processes, and machines that share its disk.

    The lock is a file next to `path`, which is removed on release. It is not re-entrant: a thread that takes it
    twice waits without end.

    Args:
      path: of the file; it need not exist.
      wait: for the one that holds the lock.

    Raises:
      BlockingIOError: it is held, and `wait` is false.
      OSError: the folder cannot be written to.
    """
    if fcntl is None:
        yield
        return
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(lock, wait)
    except BlockingIOError:
        raise
    except OSError as error:
        raise OSError(
            error.errno, f"{path} cannot be locked ({error.strerror}): choose a folder that you may write to"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()  # before the release: a waiter on this file then sees that it was replaced
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a child that was forked meanwhile
        os.close(descriptor)


def _acquire(lock: Path, wait: bool) -> int:
    """Return the descriptor of the lock file, once it is locked and still the file at `lock`."""
    reported = False
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                if not reported:
                    logger.info("waiting for another process that writes %s", lock.name[1 : -len(".lock")])
                reported = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                logger.warning("this disk has no locks (%s): write to a table from one process at a time", lock.parent)
                return descriptor
            if _is_at(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it when it was done


def _is_at(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False
