"""docs/safety.md names the tests behind its promises: they are there, under these names."""

from __future__ import annotations

import re

import pytest

from experiments.shell.shadowing import ROOT

PAGE = (ROOT / "docs" / "safety.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_every_test_that_the_page_names_is_there(file, test):
    code = (ROOT / file).read_text()
    assert not test or f"def {test}(" in code


def test_every_promising_suite_is_named():
    promising = [
        path.stem
        for path in (ROOT / "configs" / "suite").glob("*.yaml")
        if not re.search(r"^promises: \{\}", path.read_text(), re.M)
    ]
    for suite in set(promising) - {"goal_ablations", "scale"}:
        assert f"`{suite}`" in PAGE or f"suite={suite}`" in PAGE, suite
