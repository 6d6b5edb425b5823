import json
import math
import os
import subprocess
import sys

import pytest

from planning.control import Planning

WRONG = {
    **{
        name: ("0", "-1.0", "math.nan", "math.inf", "True", "'1'")
        for name in ("deadline", "hang_after", "start_timeout")
    },  # noqa: E501
    "most_disagreement": ("0.0", "-0.1", "math.nan", "math.inf", "False"),
    "validity": ("0.0", "-1.0", "math.nan", "'long'"),
    "iterations": ("0", "-1", "2.5", "3.0", "True", "math.inf"),
    "priority": ("-1", "100", "True", "1.0", "None"),
    "cores": ("(-1,)", "(0.0,)", "(True,)", "[0]", "0", "None"),
    "imagine": ("1", "'no'", "None"),
    "log": ("1", "'no'", "None"),
}

TRY = """
import json, math, sys
from planning.control import Planning
answers = []
for name, text in json.loads(sys.stdin.read()):
    try:
        Planning(**{name: eval(text)})
        answers.append("accepted")
    except ValueError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


def test_a_setting_that_makes_no_sense_is_refused():
    asked = [(name, text) for name, texts in WRONG.items() for text in texts]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # In a process of its own, for in this one types are checked before the settings are.
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        input=json.dumps(asked),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for (name, text), answer in zip(asked, json.loads(done.stdout), strict=True):
        assert answer.startswith(f"{name} must be "), f"{name}={text}: {answer}"
        assert answer.endswith(f"; got {eval(text)!r}")


def test_a_time_that_kills_plans_in_time_is_refused():
    with pytest.raises(ValueError, match="hang_after must be longer than deadline, .*; got 2 s and 2.5 s"):
        Planning(hang_after=2.0, deadline=2.5)


def test_settings_reach_a_planner_process_as_they_are():
    asked = Planning(
        deadline=0.5, validity=math.inf, iterations=3, priority=7, cores=(0, 1), hang_after=9.0, start_timeout=60.0
    )
    assert Planning.from_json(json.loads(json.dumps(asked.to_json()))) == asked
