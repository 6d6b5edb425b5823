import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import build
from experiments.bench.training import checkouts, speed
from experiments.bench.training.checkouts import Checkout
from experiments.bench.training.rows import SpeedRow, values
from experiments.commands import bench
from experiments.records import table_file
from experiments.records.results import Row
from experiments.shell.shadowing import ROOT

from ....worldmodel.small import trainer
from ...recipe import TINY

HEAD = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
HEAD = HEAD.stdout.strip()
ROW = SpeedRow(
    task="two_room",
    version="now",
    seed=0,
    train_seconds=30.0,
    successes=9,
    episodes=10,
    gflops=600.0,
    sgemm_share=0.2,
    command="",
)
COMMITTED = Row(task="two_room", protocol="honest", policy="model", seed=0, episodes=100, successes=99)


def compose(tmp_path, *overrides):
    small = ("suite.tasks=[two_room]", "suite.seeds=[0,1]", "suite.before_seeds=[0,1]", "suite.episodes=10")
    return build.compose(
        "bench",
        "suite=training_speed",
        f"runs='{tmp_path}'",
        f"results='{tmp_path}'",
        *small,
        f"suite.before={HEAD}",
        *overrides,
    )


@pytest.fixture
def ran(monkeypatch):
    """The commands that would run, as version, command and seed; training takes 100 s before and 40 s now."""
    found = []

    def run(self, command, overrides, log, cache):
        chosen = dict(each.partition("=")[::2] for each in overrides)
        found.append((self.name if self.name == "now" else "before", command, int(chosen["seed"])))
        files = Path(chosen["runs"].strip("'")) / f"two_room-seed{chosen['seed']}"
        if command == "collect":
            files.with_name(f"{files.name}-data").mkdir()
        if command == "train":
            assert files.with_name(f"{files.name}-data").is_dir()
            files.with_suffix(".safetensors").write_text("100" if self.name != "now" else "40")
        if command == "plan":
            row = {"successes": 10, "episodes": int(chosen["episodes"])}
            rows = [{"policy": name, **row} for name in chosen["policies"].strip("[]").split(",")]
            files.with_name("two_room-plan.json").write_text(json.dumps({"rows": rows}))

    def load_model(path):
        model = SimpleNamespace(heads=SimpleNamespace(policy=print))
        return SimpleNamespace(model=model, metadata={"train_seconds": float(path.read_text())})

    monkeypatch.setattr(Checkout, "run", run)
    monkeypatch.setattr(checkouts, "checkout", lambda commit, folder: Checkout(commit[:12], folder / commit))
    monkeypatch.setattr(speed, "ensure_data", lambda cfg, seed: None)
    monkeypatch.setattr(speed, "load_model", load_model)
    monkeypatch.setattr(speed, "sgemm_gflops", lambda size, seconds: 50.0)
    monkeypatch.setattr(speed.Suite, "_flops_of", lambda self, task, data: 400 * 10**9)
    return found


def test_versions_alternate_in_an_order_that_is_swapped_and_share_the_data(tmp_path, ran):
    rows = bench.run(compose(tmp_path))
    assert ran == [
        ("before", "collect", 0), ("before", "train", 0), ("before", "plan", 0), ("now", "train", 0),
        ("now", "plan", 0), ("before", "collect", 1), ("now", "train", 1), ("now", "plan", 1),
        ("before", "train", 1), ("before", "plan", 1),
    ]  # fmt: skip
    assert [(row.version, row.seed, row.train_seconds) for row in rows] == [
        ("before", 0, 100), ("now", 0, 40), ("now", 1, 40), ("before", 1, 100),
    ]  # fmt: skip
    assert [(row.successes, row.episodes, row.gflops, row.sgemm_share) for row in rows[:2]] == [
        (10, 10, None, None),
        (10, 10, 400.0, 0.2),  # 400 GFLOP in 40 s at 50 GFLOP/s
    ]
    header = (tmp_path / "training_speed.csv").read_text().splitlines()[0]
    assert header == "task,version,seed,train_seconds,successes,episodes,gflops,sgemm_share,command"
    assert (tmp_path / "training_speed" / "now" / "two_room-seed1.safetensors").is_file()


def test_all_tasks_of_a_seed_come_first_and_the_earlier_version_may_have_fewer_seeds():
    cfg = build.compose("bench", "suite=training_speed", "suite.tasks=[two_room,umaze]", "suite.seeds=[0,1]")
    order = [(cell.seed, cell.task, cell.version) for cell in speed.cells(cfg)]
    assert order == [
        (0, "two_room", "before"), (0, "two_room", "now"), (0, "umaze", "now"), (0, "umaze", "before"),
        (1, "two_room", "now"), (1, "umaze", "now"),
    ]  # fmt: skip


def test_finished_cells_are_skipped_until_their_settings_change(tmp_path, ran):
    bench.run(compose(tmp_path))
    done = len(ran)
    bench.run(compose(tmp_path))
    assert len(ran) == done
    words = ("suite.before_seeds=[]", "~suite.promises")
    bench.run(compose(tmp_path, *words, "suite.overrides=['training.updates=2000']"))
    assert [each[:2] for each in ran[done:]] == [("now", "train"), ("now", "plan")] * 2
    done = len(ran)
    bench.run(compose(tmp_path, *words, "suite.overrides=['training.updates=2000']", "redo=true"))
    assert [each[:2] for each in ran[done:]] == [("now", "train"), ("now", "plan")] * 2


def test_more_episodes_need_no_other_training(tmp_path, ran):
    bench.run(compose(tmp_path))
    done = len(ran)
    rows = bench.run(compose(tmp_path, "suite.episodes=20", "~suite.promises"))
    versions = ["before", "now", "now", "before"]
    assert [each[:2] for each in ran[done:]] == [(version, "plan") for version in versions]
    assert {(row.episodes, row.sgemm_share) for row in rows if row.version == "now"} == {(20, 0.2)}


def test_a_killed_training_keeps_its_state_until_its_settings_change(tmp_path, ran, monkeypatch):
    works, killed = Checkout.run, tmp_path / "training_speed" / "now" / "two_room-seed0.training.safetensors"
    words = ("suite.before_seeds=[]", "suite.seeds=[0]", "~suite.promises")

    def run(self, command, overrides, log, cache):
        if command == "train":
            killed.touch()
            raise KeyboardInterrupt
        works(self, command, overrides, log, cache)

    monkeypatch.setattr(Checkout, "run", run)
    with pytest.raises(KeyboardInterrupt):
        bench.run(compose(tmp_path, *words))
    monkeypatch.setattr(Checkout, "run", works)
    bench.run(compose(tmp_path, *words))
    assert killed.exists()  # `train` resumes from it, and removes it at the end
    bench.run(compose(tmp_path, *words, "suite.overrides=['training.updates=2000']"))
    assert not killed.exists()


def test_reflex_is_measured_only_if_the_model_has_a_policy(tmp_path, ran, monkeypatch, caplog):
    words = ("suite.before_seeds=[]", "suite.seeds=[0]", "~suite.promises")
    with caplog.at_level("INFO"):
        bench.run(compose(tmp_path, *words))
        assert "model 10/10, reflex 10/10" in caplog.text
        caplog.clear()
        plain = SimpleNamespace(
            model=SimpleNamespace(heads=SimpleNamespace(policy=None)), metadata={"train_seconds": 1}
        )
        monkeypatch.setattr(speed, "load_model", lambda path: plain)
        bench.run(compose(tmp_path, *words, "redo=true"))
        assert "model 10/10" in caplog.text and "reflex" not in caplog.text


def test_a_cell_that_fails_gives_exit_code_1_after_the_others(tmp_path, ran, monkeypatch, caplog):
    works = Checkout.run

    def run(self, command, overrides, log, cache):
        if command == "train" and self.name != "now":
            raise ChildProcessError("broken")
        works(self, command, overrides, log, cache)

    monkeypatch.setattr(Checkout, "run", run)
    with pytest.raises(SystemExit) as stop:
        bench.run(compose(tmp_path))
    assert stop.value.code == 1 and "before, two_room, seed 0 (broken)" in caplog.text
    assert {row.version for row in table_file.read(tmp_path / "training_speed.csv", SpeedRow)} == {"now"}


def test_broken_promises_give_exit_code_1(tmp_path, ran, capsys):
    with pytest.raises(SystemExit) as stop:
        bench.run(compose(tmp_path, "suite.promises.training_speed_median_now_to_before=0.3"))
    assert stop.value.code == 1
    assert "training_speed_median_now_to_before is 0.4, and at most 0.3 was promised" in capsys.readouterr().err


def test_promises_are_about_the_median_ratio_and_the_committed_interval():
    before = replace(ROW, version="before", train_seconds=60.0)
    rows = [before, ROW, replace(before, seed=1), replace(ROW, seed=1, train_seconds=15.0, successes=10)]
    found = {each.case: each.value for each in values(rows, [COMMITTED])}
    assert found["training_speed_median_now_to_before"] == pytest.approx((0.5 + 0.25) / 2)
    assert found["training_speed_shortfall_two_room"] == pytest.approx(0.9455 - 0.9911, abs=1e-4)  # 19 of 20
    assert values([replace(ROW, task="reacher")], [COMMITTED]) == []


def test_another_data_recipe_has_its_own_data(tmp_path, ran, monkeypatch):
    def ensure_data(cfg, seed):
        if HEAD[:12] in str(cfg.runs):  # of the earlier version
            raise ValueError("collected with other settings")

    monkeypatch.setattr(speed, "ensure_data", ensure_data)
    bench.run(compose(tmp_path, "suite.seeds=[0]", "suite.before_seeds=[0]"))
    assert [each[:2] for each in ran] == [
        ("before", "collect"), ("before", "train"), ("before", "plan"), ("now", "collect"), ("now", "train"),
        ("now", "plan"),
    ]  # fmt: skip


def test_a_commit_is_checked_out_once(tmp_path, monkeypatch):
    place = checkouts.checkout(HEAD, tmp_path).folder
    assert (place / "experiments" / "cli.py").is_file() and (place / "configs").is_dir()
    assert [each.name for each in tmp_path.iterdir()] == [HEAD]
    monkeypatch.setattr(checkouts, "_git", None)
    assert checkouts.checkout(HEAD, tmp_path) == Checkout(HEAD[:12], place)


def test_what_is_no_commit_is_named(tmp_path):
    with pytest.raises(ValueError, match="suite.before must be a commit .* got 'nowhere'"):
        bench.run(compose(tmp_path, "suite.before=nowhere"))
    with pytest.raises(ValueError, match="'two_rom' is not a choice of suite.tasks"):
        bench.run(compose(tmp_path, "suite.tasks=[two_rom]"))


def test_a_failed_command_names_its_last_line(tmp_path):
    with pytest.raises(ChildProcessError, match="`fly` of now ended with exit code 2: .*'fly' is not a command"):
        checkouts.current().run("fly", [], tmp_path / "log", tmp_path / "compiled")


def test_a_command_holds_a_lock_that_outlives_this_process(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    ran = []

    def run(words, pass_fds, **others):
        (inherited,) = pass_fds
        with (tmp_path / ".running.lock").open() as lock:
            assert os.path.samestat(os.fstat(inherited), os.fstat(lock.fileno()))
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ran.append(words)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(checkouts.subprocess, "run", run)
    for _ in range(2):  # it is free again
        checkouts.current().run("train", [], tmp_path / "log", tmp_path / "compiled")
    assert len(ran) == 2


def test_flops_of_a_training_are_those_of_all_updates():
    one, two, three, more = (
        speed.training_flops(trainer(**changes))
        for changes in ({"updates": 10}, {"updates": 20}, {"updates": 30}, {"updates": 10, "policy_updates": 10})
    )
    assert 0 < two - one == three - two < one < more


@pytest.mark.slow
def test_two_checkouts_train_and_plan(tmp_path):
    tiny = ",".join(f"'{each}'" for each in TINY)
    cfg = compose(
        tmp_path,
        "suite.seeds=[0]",
        "suite.before_seeds=[0]",
        "suite.episodes=2",
        f"suite.overrides=[{tiny}]",
        "~suite.promises",
    )
    before, now = bench.run(cfg)
    assert (before.version, now.version) == ("before", "now") and before.gflops is None
    assert now.episodes == 2 and now.train_seconds > 0 and now.gflops and 0 < now.sgemm_share < 1
    assert (tmp_path / "training_speed" / "now" / "two_room-seed0.safetensors").is_file()
