"""One thread at a time: an object that holds state for one caller refuses a second one with a clear error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final


@final
class Exclusive:
    """Admits one thread, any number of times, and refuses every other one while it is in a call.

    Args:
      owner: what is guarded, for the message.
      instead: what to use from several threads.
    """

    def __init__(self, owner: str, instead: str):
        self._owner, self._instead = owner, instead
        self._inside = threading.RLock()

    @contextmanager
    def __call__(self, call: str) -> Iterator[None]:
        """Hold the object for the length of a `with`.

        Raises:
          RuntimeError: another thread is in a call.
        """
        if not self._inside.acquire(blocking=False):
            raise RuntimeError(
                f"{call} was called while another thread is inside this {self._owner}: one thread at a time may, or "
                f"take {self._instead}"
            )
        try:
            yield
        finally:
            self._inside.release()
