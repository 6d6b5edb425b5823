import logging

import pytest

from experiments.engine import here
from experiments.engine.durations import time_left
from experiments.engine.step import Step


def fail(sentence):
    raise ValueError(sentence)


def test_what_fails_is_named_and_what_does_not_need_it_goes_on(caplog):
    done = []
    failed = here.run(
        [
            Step("data", "data", lambda: fail("the disk is full")),
            Step("model", "model", lambda: done.append("model"), ("data",)),
            Step("row", "row", lambda: done.append("row"), ("model",)),
            Step("floor", "row", lambda: done.append("floor")),
            Step("bug", "row", lambda: {}["key"]),
        ]
    )
    assert done == ["floor"]
    assert failed == {
        "data": "the disk is full",
        "model": "it needs data, which failed",
        "row": "it needs model, which failed",
        "bug": "KeyError('key')",
    }
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [bool(record.exc_info) for record in told] == [False, False, False, True]  # a bug shows where it is


def test_an_interruption_stops_everything():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.run([Step("first", "row", stop), Step("second", "row", lambda: pytest.fail("went on"))])


def test_the_time_left_is_that_of_the_kinds_ahead():
    ahead = [Step("a", "model", print), Step("b", "row", print), Step("c", "other", print)]
    assert time_left(ahead, {}) == ""
    assert time_left(ahead, {"model": [500.0, 700.0], "row": [60.0]}) == "about 18 min"  # 600 + 60 + 420
    assert time_left(ahead[:1], {"model": [7200.0]}) == "about 2.0 h"
    assert time_left(ahead[1:2], {"row": [1.0]}) == "about 1 min"
