"""What watches a training: the table that counts, writers by name and of one's own, and those that fail."""

from __future__ import annotations

import logging
import math
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from experiments import cli
from experiments.commands import train
from experiments.shell import limits
from experiments.training import offline
from experiments.watching import scalars
from experiments.watching.scalars import ScalarTable, scalars_file
from experiments.watching.tensorboard import TensorBoard
from experiments.watching.watch import Watch, writers
from experiments.watching.writer import Run
from worldmodel.models.checkpoint import load_model

from ..recipe import settings


@dataclass
class Recorder:
    """A writer of one's own, with a setting; what it was given is kept in the class."""

    name: str = "mine"
    seen: list = field(default_factory=list)

    runs = []

    def start(self, run):
        self.runs.append((self.name, run.name, run.resumed_at))

    def write(self, step, scalars):
        self.seen.append((step, scalars))

    def close(self):
        self.runs.append((self.name, "closed", len(self.seen)))


class Failing(Recorder):
    def write(self, step, scalars):
        super().write(step, scalars)
        raise ConnectionError("no answer")


def run_at(folder, resumed_at=0):
    return Run("model", folder, {"seed": 0}, resumed_at)


def events(folder):
    """All events of a run's folder, in the order in which TensorBoard reads them: by file, then by place."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.glob("*tfevents*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            yield Event.FromString(content[at + 12 : at + 12 + length])  # between the length with its checksum, and one
            at += 12 + length + 4


def shown(folder):
    """Points of each curve as TensorBoard shows them: a restart hides what came before of its step and later ones."""
    from tensorboardX.proto.event_pb2 import SessionLog

    curves = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            curves = {name: [p for p in points if p[0] < event.step] for name, points in curves.items()}
        for value in event.summary.value:
            curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    return {name: points for name, points in curves.items() if points}


def test_the_table_has_a_row_a_step_and_a_column_a_scalar(tmp_path):
    path = tmp_path / "a" / "model.scalars.csv"
    table = ScalarTable(path)
    table.write(100, {"joint/loss": 0.25})
    table.write(100, {"health/rank": 7.0})
    table.write(200, {"critic/loss": 1 / 3})
    table.write(300, {"critic/loss": math.nan})
    table.flush()
    text = path.read_text().splitlines()
    assert text[0] == "step,joint/loss,health/rank,critic/loss"
    assert text[1:] == ["100,0.25,7,", "200,,,0.3333333", "300,,,nan"]
    first, second, third = scalars.read(path)
    assert first == {"step": 100, "joint/loss": 0.25, "health/rank": 7}
    assert second == {"step": 200, "critic/loss": 0.3333333} and math.isnan(third["critic/loss"])


def test_a_resumed_table_keeps_earlier_rows_and_drops_later_ones(tmp_path):
    path = tmp_path / "model.scalars.csv"
    for resumed, steps in ((0, (100, 200, 300)), (200, (300, 400))):
        table = ScalarTable(path, resumed)
        for step in steps:
            table.write(step, {"loss": step + resumed})
        table.flush()
    assert [(row["step"], row["loss"]) for row in scalars.read(path)] == [
        (100, 100),
        (200, 200),
        (300, 500),
        (400, 600),
    ]
    again = ScalarTable(path)
    again.write(50, {"loss": 1.0})
    again.flush()
    assert [row["step"] for row in scalars.read(path)] == [50], "a new run of the same name begins a new table"


@pytest.mark.parametrize("content", ["task,return\nx,1\n", "step,loss\n100,low\n", "", "step\n\0"])
def test_a_table_that_cannot_be_read_does_not_stop_a_resumed_run(content, tmp_path, caplog):
    path = tmp_path / "model.scalars.csv"
    path.write_text(content)
    table = ScalarTable(path, 100)
    table.write(200, {"loss": 1.0})
    table.flush()
    assert [row["step"] for row in scalars.read(path)] == [200]


def test_event_files_hold_every_scalar(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = TensorBoard()
    writer.start(run_at(tmp_path))
    writer.write(100, {"joint/loss": 0.5, "health/rank": 7.0})
    writer.write(200, {"joint/loss": 0.25})
    found = shown(tmp_path / "tensorboard" / "model")  # on disk before it is closed
    writer.close()
    assert found == {"joint/loss": [(100, 0.5), (200, 0.25)], "health/rank": [(100, 7.0)]}


def test_resumed_event_files_go_on_with_the_same_curves(tmp_path):
    """Killed after step 300 with a training state of step 200, resumed; then the same name once more, from nothing."""
    pytest.importorskip("tensorboardX")
    for resumed, steps in ((0, (100, 200, 300)), (200, (300, 400)), (0, (100,))):
        writer = TensorBoard(str(tmp_path / "boards"))
        writer.start(run_at(tmp_path, resumed))
        for step in steps:
            writer.write(step, {"loss": step + resumed})
        if resumed:
            points = shown(tmp_path / "boards" / "model")["loss"]
            assert points == [(100, 100), (200, 200), (300, 500), (400, 600)]
        writer.close()
    assert shown(tmp_path / "boards" / "model")["loss"] == [(100, 100)]


def test_a_missing_extra_is_one_sentence_before_anything_is_trained(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr("experiments.watching.tensorboard.find_spec", lambda name: None)
    assert cli.main(["train", "task=two_room", f"runs={tmp_path}", "watch=tensorboard"]) == 2
    said = capfd.readouterr().err
    assert "watch=tensorboard needs tensorboardX: pip install 'jepa-mpc[tensorboard]'" in said
    assert "Traceback" not in said and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("watch=tensorbord", "watch=tensorbord is no writer: choose from tensorboard; did you mean tensorboard"),
        ("watch={_target_: nowhere.Writer}", "watch._target_=nowhere.Writer cannot be imported"),
        ("watch={folder: here}", "watch must be a list as in [a,b], and each in it must name its class"),
        ("watch={_target_: planning.CEM}", "watch._target_=planning.CEM has no method start and no write"),
        ("watch=3", "watch=3 is no writer: choose from tensorboard"),
    ],
)
@pytest.mark.parametrize("method", ["jepa", "td"])
def test_what_is_no_writer_is_refused_before_anything_is_trained(method, word, said, tmp_path, capfd):
    task = "task=two_room" if method == "jepa" else "task=gym/Pendulum-v1"
    assert cli.main(["train", f"method={method}", task, f"runs={tmp_path}", word]) == 2
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_methods_that_nobody_can_watch_refuse(tmp_path, capfd):
    assert cli.main(["train", "method=gcbc", "task=two_room", f"runs={tmp_path}", "watch=tensorboard"]) == 2
    assert "watch belongs to method=jepa, method=video and method=td, and this is method=gcbc" in capfd.readouterr().err


def test_a_single_writer_is_a_list_of_one_and_classes_get_their_settings():
    cfg = OmegaConf.create({"watch": {"_target_": f"{__name__}.Recorder", "name": "theirs"}})
    cfg = limits.check(cfg)
    (made,) = writers(cfg)
    assert isinstance(made, Recorder) and made.name == "theirs"
    assert writers(OmegaConf.create({"watch": []})) == writers(OmegaConf.create({})) == []


@pytest.mark.parametrize("when", ["start", "write", "close"])
def test_a_writer_that_fails_is_reported_once_and_the_others_go_on(when, tmp_path, caplog):
    broken, good = Recorder("broken"), Recorder("good")

    def fail(*arguments):
        raise ConnectionError("no answer")

    setattr(broken, when, fail)
    table = ScalarTable(tmp_path / "m.scalars.csv")
    with caplog.at_level(logging.WARNING), Watch(table, run_at(tmp_path), [broken, good]) as watch:
        for step in (1, 2, 3):
            watch.write(step, {"loss": np.float32(step)})
    assert [step for step, _ in good.seen] == [1, 2, 3]
    assert len(scalars.read(tmp_path / "m.scalars.csv")) == 3
    (record,) = caplog.records
    assert f"Recorder failed in {when} (ConnectionError: no answer)" in record.getMessage()


def test_a_killed_training_goes_on_with_the_same_curves(tmp_path, monkeypatch, caplog):
    """Killed some calls after its last training state, with three writers of which one fails."""
    pytest.importorskip("tensorboardX")
    Recorder.runs.clear()
    mine = f"{{_target_: {__name__}.Recorder}}"
    words = ("task=two_room", f"watch=[tensorboard,{mine},{{_target_: {__name__}.Failing}}]")
    cfg = settings("train", tmp_path, *words)
    monkeypatch.setattr(offline, "CHECKPOINT_SECONDS", -1.0)
    real, calls = offline.save_training, []

    def save_twice(*arguments):
        calls.append(arguments)
        if len(calls) <= 2:
            real(*arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(offline, "save_training", save_twice)
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        train.run(cfg)
    assert sum("Failing failed in write" in each.getMessage() for each in caplog.records) == 1
    out, folder = tmp_path / "two_room-seed0.safetensors", tmp_path / "tensorboard" / "two_room-seed0"
    assert [row["step"] for row in scalars.read(scalars_file(out))] == [20, 40, 60, 80]
    monkeypatch.setattr(offline, "save_training", real)
    train.run(cfg)
    rows, metadata = scalars.read(scalars_file(out)), load_model(out).metadata
    steps = [entry["step"] for entry in metadata["history"]]
    assert [row["step"] for row in rows] == steps == [20, 40, 60, 80, 100, 120]
    for row, entry in zip(rows, metadata["history"], strict=True):
        stage = next(name.partition("/")[0] for name in row if name.endswith("/loss"))
        assert row[f"{stage}/loss"] == pytest.approx(entry["loss"], rel=1e-5)
        assert row["time/seconds"] > 0
    assert {name for row in rows for name in row if name.startswith("health/")} >= {"health/rank", "health/feature_std"}
    curves = shown(folder)
    for name in {name for row in rows for name in row} - {"step"}:
        expected = [(row["step"], row[name]) for row in rows if name in row]
        assert [step for step, _ in curves[name]] == [step for step, _ in expected], name
        np.testing.assert_allclose([value for _, value in curves[name]], [value for _, value in expected], rtol=1e-5)
    assert Recorder.runs[:2] == [("mine", "two_room-seed0", 0)] * 2
    assert ("mine", "two_room-seed0", 40) in Recorder.runs and Recorder.runs[-1] == ("mine", "closed", 4)
    assert metadata["health"]["rank"] > 0 and "horizon_ratio" in metadata["health"]
    assert metadata["versions"]["jax"] and Path(str(out)).exists()
