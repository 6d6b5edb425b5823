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
      alternative: what to use from several threads.
    """

    def __init__(self, owner: str, alternative: str):
        self._owner, self._alternative = owner, alternative
        self._inside = threading.RLock()

    @contextmanager
    def __call__(self, call: str) -> Iterator[None]:
        """Hold the object for the length of a `with`.

        Raises:
          RuntimeError: another thread is in a call.
        """
        if not self._inside.acquire(blocking=False):
            raise RuntimeError(
                f"{call} was called while another thread is inside this {self._owner}: use one thread at a time, "
                f"or {self._alternative}"
            )
        try:
            yield
        finally:
            self._inside.release()
