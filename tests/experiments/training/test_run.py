"""`jepa-mpc train method=...`: one function a method, and cloning from the command line."""

from __future__ import annotations

import pytest

import envs
from experiments import build, cli
from experiments.baselines import gcbc
from experiments.build import processes
from experiments.shell.folders import config_dir
from experiments.training import cloning
from experiments.training import run as training

from ..recipe import TINY

SMALL = [*TINY, "gcbc.width=8", "gcbc.depth=1"]


def test_every_choice_of_the_group_is_a_method_and_names_itself():
    assert {file.stem for file in (config_dir() / "method").glob("*.yaml")} == set(training.METHODS)
    for name in training.METHODS:
        assert build.compose("train", f"method={name}").method == name


@pytest.mark.parametrize("name", training.METHODS)
def test_the_method_alone_decides_what_is_called(name, monkeypatch):
    called = []
    for each in training.METHODS:
        monkeypatch.setitem(training.METHODS, each, lambda cfg, each=each: called.append(each))
    cfg = build.compose("train", f"method={name}", "+baseline.note=1" if name == "jepa" else "seed=0")
    training.run(cfg)
    assert called == [name]


def test_gcbc_is_trained_on_the_recipes_data_and_read_again(tmp_path, capfd):
    words = ["train", "method=gcbc", "task=two_room", f"runs={tmp_path}", *SMALL]
    assert cli.main(words) == 0, capfd.readouterr().err
    file = tmp_path / "two_room-seed0-gcbc.safetensors"
    assert (tmp_path / "two_room-seed0-data").is_dir() and not (tmp_path / "two_room-seed0.safetensors").exists()
    cfg = build.compose(*words)
    task = envs.make("two_room")
    policy, known, _ = gcbc.load(file, task, cloning.cloning_recipe(cfg, 0, dict(cfg.gcbc)))
    assert policy.name == "gcbc" and {"width": 8, "depth": 1}.items() <= known["config"].items()
    before = file.stat().st_mtime_ns
    assert cli.main(words) == 0 and "was trained with this recipe already" in capfd.readouterr().out
    assert file.stat().st_mtime_ns == before
    assert cli.main([*words, "gcbc.width=16"]) == 2
    assert "was made with gcbc={'width': 8}, and this recipe has {'width': 16}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gcbc.width=0"], "gcbc.width must be at least 1; got 0"),
        (["gcbc.width=wide"], "gcbc.width must be a whole number; got 'wide'"),
        (["task=dmc/walker-walk"], "dmc/walker-walk has rewards and no goals"),
        (["online.steps=3"], "online.steps=3 belongs to another method: add method=ceiling"),
    ],
)
def test_what_cannot_be_cloned_is_refused(words, said, tmp_path, capfd):
    assert cli.main(["train", "method=gcbc", f"runs={tmp_path}", *words]) == 2
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=td", "devices=2"], "devices and distributed belong to method=jepa and method=video"),
        (["devices=0"], "devices must be at least 1; got 0"),
        (["devices=64"], "devices=64 asks for more devices than the 1 that there are"),
        (["distributed.process=1"], "add distributed.coordinator=HOST:PORT of the first one, the same for all"),
        (["distributed.coordinator=nowhere"], "distributed.coordinator must be HOST:PORT or auto; got 'nowhere'"),
        (
            ["distributed.coordinator=h:1", "distributed.processes=2", "distributed.process=2"],
            "which of them this is, counted from 0; got 2 and 2",
        ),
        (
            ["distributed.coordinator=127.0.0.1:1", "distributed.processes=2", "distributed.process=1"],
            "nobody answers at distributed.coordinator=127.0.0.1:1",
        ),
    ],
)
def test_devices_and_processes_that_do_not_fit_are_refused(words, said, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", -1.0)
    assert cli.main(["train", f"runs={tmp_path}", *words]) == 2
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
