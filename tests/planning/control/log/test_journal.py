import gc
import logging
import os
import threading
import weakref

import numpy as np
import pytest

from planning.control.log.journal import Journal


@pytest.fixture
def blocked():
    """A logger whose handler writes to a full pipe, the journal before it, and a function that drains the pipe."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    filler = 0
    try:
        while True:
            filler += os.write(write, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(write, True)
    stream = os.fdopen(write, "w")
    logger = logging.Logger("blocked")
    logger.addHandler(logging.StreamHandler(stream))
    journal = Journal(logger, capacity=8)
    drained = []

    def drain():
        while sum(map(len, drained)) < filler:
            drained.append(os.read(read, filler - sum(map(len, drained))))
        return lambda: os.read(read, 65536).decode()

    yield journal, drain
    journal.close(timeout=10.0)
    stream.close()
    os.close(read)


def listed():
    """A logger that keeps its records in a list."""
    records = []
    logger = logging.Logger("listed")
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    return logger, records


def test_writing_returns_and_stays_bounded_while_the_log_is_blocked(blocked):
    journal, drain = blocked
    journal.start()
    for number in range(10_000):
        journal.write(logging.WARNING, "line %d", number)
    assert 10_000 - 9 <= journal.dropped <= 10_000 - 8  # one may be in the handler already
    journal.close(timeout=0.01)  # returns although its thread is stuck
    journal.start()
    threads = [thread for thread in threading.enumerate() if thread.name == "journal"]
    for _ in range(100):
        journal.close(timeout=0.0)
        journal.start()
    assert [thread for thread in threading.enumerate() if thread.name == "journal"] == threads
    said, text = drain(), ""
    while "dropped" not in text:
        text += said()
    *lines, last = text.splitlines()
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == sorted(numbers) and len(numbers) == 10_000 - journal.dropped
    assert last == f"{journal.dropped} log lines were dropped: the log is too slow"
    journal.write(logging.WARNING, "it goes on")
    assert said() == "it goes on\n"


def test_lines_are_handed_over_in_order_by_the_time_it_is_closed_and_again_after_a_new_start():
    logger, records = listed()
    journal, before = Journal(logger), set(threading.enumerate())
    journal.write(logging.INFO, "before the start")
    for repeat in range(50):
        journal.start()
        journal.write(logging.INFO, "%s %d %.1f", "line", repeat, np.float32(0.5))
        journal.close()
    journal.write(logging.INFO, "after the end")
    journal.close()
    assert [record.getMessage() for record in records] == [
        "before the start",
        *(f"line {repeat} 0.5" for repeat in range(50)),
        "after the end",
    ]
    assert records[0].name == "listed" and records[0].created <= records[1].created
    assert set(threading.enumerate()) <= before


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_no_argument_is_kept_alive_formatted_or_raises():
    logger, records = listed()
    journal = Journal(logger)
    array = np.zeros(10)
    alive = weakref.ref(array)
    journal.write(logging.ERROR, "%s %s %s %s", array, Mute(), ValueError("x" * 10_000), 10**10_000)
    del array
    gc.collect()
    assert alive() is None
    journal.write(logging.ERROR, "%d", "a message that does not fit its arguments")
    journal.write(logging.DEBUG - 1, "what the logger is not interested in")
    logger.setLevel(logging.INFO)
    journal.start()
    journal.close()
    text = records[0].getMessage()
    assert text.startswith("ndarray Mute ValueError: xxx") and text.endswith("x a huge integer") and len(text) < 1100


def test_a_handler_that_raises_does_not_end_it():
    logger, records = listed()
    first = logging.Handler()

    def fail(record):
        logger.removeHandler(first)
        raise RuntimeError("a handler's bug")

    first.emit = fail
    logger.handlers.insert(0, first)
    journal = Journal(logger)
    journal.start()
    journal.write(logging.INFO, "lost")
    journal.write(logging.INFO, "kept")
    journal.close()
    assert [record.getMessage() for record in records] == ["kept"]


def test_a_capacity_that_holds_nothing_is_refused():
    with pytest.raises(ValueError, match="capacity must be at least 1; got 0"):
        Journal(logging.getLogger(), capacity=0)
