import os
import resource
from pathlib import Path

import pytest

from worldmodel.files import write_atomically


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on file sizes stands in for a full disk: the same call fails at the same place."""
    path = tmp_path / "report.html"
    write_atomically(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"report\.html could not be written \(File too large\) and is as it was"):
            write_atomically(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
