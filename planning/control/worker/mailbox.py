"""The newest message in shared memory: written by one side, read by the other, and neither ever waits.

A sequence lock: the version is odd during a write, and a reader that meets a writer simply gets nothing new. A
checksum over version and message detects a writer that died in the middle, and a machine that reorders stores.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
import zlib
from typing import Any, final

HEAD = struct.Struct("<QQI4x")  # version, version again, checksum


@final
class Mailbox:
    """The newest message of `size` bytes, in any writable buffer of `Mailbox.room(size)` bytes."""

    def __init__(self, buffer: Any, size: int):
        self._buffer = memoryview(buffer)
        self._size = size
        self._seen = 0

    @staticmethod
    def room(size: int) -> int:
        """Bytes that a mailbox for messages of `size` bytes needs."""
        return HEAD.size + size

    def write(self, message: bytes) -> None:
        """Replace the message.

        Raises:
          ValueError: it does not have the mailbox's message size.
        """
        if len(message) != self._size:
            raise ValueError(f"a message must have {self._size} bytes; got {len(message)}")
        (before,) = struct.unpack_from("<Q", self._buffer, 0)
        version = (before + 2) | 1  # a writer that died in the middle left an odd version
        struct.pack_into("<Q", self._buffer, 0, version)
        self._buffer[HEAD.size : HEAD.size + self._size] = message
        version += 1
        struct.pack_into("<QI", self._buffer, 8, version, _checksum(version, message))
        struct.pack_into("<Q", self._buffer, 0, version)

    def read(self) -> bytes | None:
        """Return the message, if it is whole and not the one that was read last."""
        version, again, checksum = HEAD.unpack_from(self._buffer, 0)
        if version == self._seen or version % 2 or version != again:
            return None
        message = bytes(self._buffer[HEAD.size : HEAD.size + self._size])
        if struct.unpack_from("<Q", self._buffer, 0)[0] != version or _checksum(version, message) != checksum:
            return None
        self._seen = version
        return message

    @property
    def version(self) -> int:
        """Version of the message, a different number for each."""
        return int(struct.unpack_from("<Q", self._buffer, 0)[0])


def shared_file(size: int) -> int:
    """Return a descriptor of `size` bytes of anonymous memory (an unlinked file elsewhere), freed with its last holder.

    Raises:
      OSError: the system has no room for it.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("jepa-mpc")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def mapped(descriptor: int, size: int) -> mmap.mmap:
    """The memory behind a descriptor."""
    return mmap.mmap(descriptor, size)


def _checksum(version: int, message: bytes) -> int:
    return zlib.crc32(message, version & 0xFFFFFFFF)
