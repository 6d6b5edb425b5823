"""Files that are broken in the usual ways, given to the commands: exit code 2 and one sentence that names the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments import cli

FAULTS = {
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "a folder": lambda path: path.mkdir(),
    "a header that promises more": lambda path: path.write_bytes((2**40).to_bytes(8, "little") + b"{}"),
    "nothing": lambda path: None,
    "a link to nowhere": lambda path: path.symlink_to(path.with_name("nowhere")),
}
COMMANDS = {
    "plan": ["task=two_room", "checkpoint={}"],
    "export": ["task=two_room", "checkpoint={}", "out={}.bundle"],
    "diagnose": ["task=two_room", "checkpoint={}"],
    "replay": ["log=run.jsonl", "bundle={}"],
    "compare": ["curves=[{}]"],
    "train": ["task=custom", "data={}"],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_file_is_one_sentence(
    command: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.jsonl").write_text('{"kind":"run"}\n')
    FAULTS[fault](tmp_path / "broken.file")
    before = sorted(os.listdir(tmp_path))
    code = cli.main([command, *(word.format("broken.file") for word in COMMANDS[command])])
    error = capfd.readouterr().err
    assert code == 2, error
    assert error.startswith("jepa-mpc: ") and len(error.splitlines()) == 1 and "Traceback" not in error
    assert "broken.file" in error
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b'{"kind":"plan"}\n', b'{"kind":"run","contract":7}\n{"kind":"plan","sequence":1}\n'],
)
def test_a_broken_log_is_one_sentence(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from experiments.bench.robot.tiny_engine import make
    from experiments.commands import replay

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match="log|plan"):
        replay.replay_log("run.jsonl", make())
