import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from worldmodel.files import write_atomically

ROOT = Path(__file__).parents[2]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on file sizes stands in for a full disk: the same call fails at the same place."""
    path = tmp_path / "report.html"
    write_atomically(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"report\.html could not be written \(File too large\): .* nothing was changed"
        ):
            write_atomically(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


WRITE_MANY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from worldmodel.files import write_atomically

path, mark = sys.argv[1:]
content = mark * 20_000
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: write_atomically(path, content), range(40)))
"""


def test_threads_and_processes_write_one_path_at_once(tmp_path: Path) -> None:
    """Containers that share a disk have the same process ids, and threads share one."""
    path = tmp_path / "table.csv"
    write_atomically(path, "0" * 20_000)
    command = [sys.executable, "-c", WRITE_MANY, str(path)]
    processes = [subprocess.Popen([*command, mark], stderr=subprocess.PIPE, text=True, cwd=ROOT) for mark in "abc"]
    seen = set()
    while any(process.poll() is None for process in processes):
        text = path.read_text()
        assert len(text) == 20_000
        seen |= set(text)
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert len(seen) > 1 and set(path.read_text()) < set("abc")
    assert os.listdir(tmp_path) == ["table.csv"]


def test_file_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_mode)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(tmp_path / "report.html", "new")
    assert [stat.S_ISREG(mode) for mode in synced] == [True, False]
    assert stat.S_ISDIR(synced[1])


def test_an_older_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_text("old")
    path.chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 126 + "abc")  # 255 bytes, the most that a file system takes
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_text_with_a_name_that_is_no_unicode_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "command", f"plan out={os.fsdecode(bytes([0xFF]))} ü")
    assert (tmp_path / "command").read_text(encoding="utf-8") == "plan out=\\udcff ü"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"folder could not be written \(Is a directory\): choose another name"):
        write_atomically(tmp_path / "folder", "")
    with pytest.raises(OSError, match=r"/dev/null could not be written \(it is a device"):
        write_atomically("/dev/null", "")
    assert not Path("/dev/null").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"x could not be written \((Not a directory|File exists)\)"):
        write_atomically(tmp_path / "file" / "x", "")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
