import pytest

from experiments import build
from experiments.bench.latency import second_start
from experiments.bench.latency.second_start import Start
from experiments.commands import bench


@pytest.fixture
def started(monkeypatch):
    """The starts that the suite makes, in place of new processes: a cold one takes 20 s, a warm one `seed` s."""
    starts, again = [], {"train": 0, "plan": 0}

    def start(command, words, cache):
        seed = next(int(word.removeprefix("seed=")) for word in words if word.startswith("seed="))
        starts.append((command, seed, words))
        return Start(float(seed), again[command]) if seed else Start(20.0, 90)

    monkeypatch.setattr(second_start, "start", start)
    monkeypatch.setattr(second_start, "collect_data", lambda cfg, seed, path: None)
    return starts, again


def settings(tmp_path, *overrides):
    return build.compose("bench", "suite=second_start", f"results='{tmp_path}'", *overrides)


def test_the_first_start_is_cold_and_the_median_of_the_others_warm(tmp_path, started):
    values = {each.case: each.value for each in bench.run(settings(tmp_path))}
    assert values == {
        "train_first_update_cold_s": 20.0,
        "train_first_update_s": 3.0,
        "train_programs_compiled_again": 0,
        "plan_first_plan_cold_s": 20.0,
        "plan_first_plan_s": 3.0,
        "plan_programs_compiled_again": 0,
    }
    assert "plan_first_plan_s,3,s" in (tmp_path / "second_start.csv").read_text()


def test_a_warm_start_has_another_seed_and_other_data_than_the_cold_one(tmp_path, started):
    bench.run(settings(tmp_path, "suite.repeats=2"))
    starts, _ = started
    assert [(command, seed) for command, seed, _ in starts] == [(c, s) for s in (0, 1, 2) for c in ("train", "plan")]
    data = [word for _, _, words in starts for word in words if word.startswith("data=")]
    assert data[0] != data[1] == data[2]


@pytest.mark.parametrize("broken", ["suite.promises.plan_first_plan_s=2", "train"])
def test_a_slow_start_and_a_program_compiled_again_break_a_promise(tmp_path, started, capfd, broken):
    _, again = started
    if broken in again:
        again[broken] = 1
    with pytest.raises(SystemExit, match="1"):
        bench.run(settings(tmp_path, *([] if broken in again else [broken])))
    assert "promise broken" in capfd.readouterr().err
    assert (tmp_path / "second_start.csv").exists()


def test_a_command_that_fails_is_reported_with_its_error(tmp_path):
    with pytest.raises(RuntimeError, match="jepa-mpc plan ended with 2: .*no_such_file"):
        second_start.start("plan", ["checkpoint=no_such_file"], tmp_path)
