"""Fixtures of the tests of pages."""

import pytest

from . import browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    executable = browser.find()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    page = browser.Browser(executable, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()
