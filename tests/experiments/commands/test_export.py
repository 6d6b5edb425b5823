import json

import numpy as np
import pytest

from experiments.bench.robot.hostile import mutations, suite
from experiments.build import agent_for, compose
from experiments.build.bundles import make_bundle
from experiments.cli import main
from planning import ActionSpec
from planning.control import Bundle, Controller, LiveEngine, Surprise
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

ROBOT = {
    "task": "arm",
    "control_period": 0.05,
    "action_low": [-1.0, -2.0],
    "action_high": [1.0, 0.5],
    "sensors": ["x", "y", "z"],
    "sensor_units": ["m", "m", "m"],
}
SMALL = ("planner.horizon=6", "planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "arm.safetensors"
    config = ModelConfig(
        observation=vector(3), action_size=2, probe_size=2, latent_size=4, width=8, head_width=8, depth=1
    )
    save_model(path, create(config, 0), config, {"task": ROBOT})
    return path


def test_the_command_writes_what_the_settings_say(checkpoint, tmp_path, capsys):
    out = tmp_path / "arm.bundle"
    arguments = ["export", f"checkpoint='{checkpoint}'", f"out='{out}'", *SMALL, "cost=goal_distance", "replan_every=2"]
    assert main(arguments) == 0
    assert "3 sensors, 2 actuators, 50 ms a step" in " ".join(capsys.readouterr().out.split())
    bundle = Bundle.load(out)
    contract = bundle.contract
    assert (contract.horizon, contract.replan_every, contract.iterations, contract.task) == (6, 2, 1, "arm")
    assert contract.sensors == ("x", "y", "z") and contract.control_period == 0.05
    assert main(arguments) == 2
    assert "something at" in capsys.readouterr().err
    cfg = compose("export", f"checkpoint='{checkpoint}'", *SMALL, "cost=goal_distance", "replan_every=2")
    spec = ActionSpec.of(ROBOT["action_low"], ROBOT["action_high"], 0.05)
    live, control = LiveEngine(agent_for(cfg, load_model(checkpoint).model, spec)), Controller.load(out)
    goal, zero = np.array([0.1, 0.2, 0.3], np.float32), np.zeros(3, np.float32)
    control.reset(goal=goal, seed=5)
    np.testing.assert_array_equal(control.act(zero), live.step(live.begin(goal, 5, 0), zero)[0])


def test_a_bundle_brings_the_alarm_of_held_out_data_along(checkpoint, tmp_path):
    """From a robot's logs to a threshold in the bundle."""
    logs = tmp_path / "logs"
    logs.mkdir()
    rng = np.random.default_rng(0)
    for episode in range(12):
        actions = rng.uniform([-1.0, -2.0], [1.0, 0.5], (20, 2)).astype(np.float32)
        observations = np.cumsum(rng.normal(size=(21, 3)), axis=0).astype(np.float32)
        np.savez(logs / f"{episode:02d}.npz", observations=observations, actions=actions)
    robot = {name: ROBOT[name] for name in ("control_period", "action_low", "action_high")}
    (logs / "dataset.json").write_text(json.dumps({"task": "arm", **robot}))
    out = tmp_path / "arm.bundle"
    calibration = (f"calibration='{logs}'", "alarms_a_minute=60")
    assert (
        main(["export", f"checkpoint='{checkpoint}'", f"out='{out}'", *SMALL, "cost=goal_distance", *calibration]) == 0
    )
    surprise = Surprise.of_bundle(Bundle.load(out))
    assert surprise is not None and np.isfinite(surprise.threshold) and surprise.false_alarm_rate == pytest.approx(0.05)


@pytest.mark.parametrize("planner", ["icem", "mppi", "elite_mppi", "predictive_sampling", "gradient"])
def test_every_planner_can_be_exported(checkpoint, planner):
    small = ["planner.horizon=6", "planner.iterations=1"]
    small += [] if planner == "gradient" else ["planner.parameterization.count=3", "planner/parameterization=knots"]
    cfg = compose("export", f"checkpoint='{checkpoint}'", f"planner={planner}", *small)
    bundle = make_bundle(cfg, load_model(checkpoint), guards={"threshold": 2.0})
    assert set(bundle.programs) == set(bundle.signatures) and bundle.guards == {"threshold": 2.0}


def test_broken_bundles_end_in_sentences(tmp_path):
    intact = tmp_path / "intact.bundle"
    suite.tiny().save(intact)
    content = intact.read_bytes()
    first, again = (mutations.mutate(content, 8, seed=1) for _ in range(2))
    assert first == again and first.content != content and first.rehashed
    outcomes = suite.judge_all(intact, files=12, workers=1, seconds=60.0, seed=1)
    assert len(outcomes) == 12
    assert {outcome["outcome"] for outcome in outcomes} <= {"refused", "acted"}, json.dumps(outcomes)
    assert any(outcome["outcome"] == "refused" and outcome["hash"] for outcome in outcomes)


def test_a_crash_and_a_hang_are_counted(tmp_path, monkeypatch):
    """A worker that dies at the second file and sleeps at the fourth."""
    intact = tmp_path / "intact.bundle"
    intact.write_bytes(b"")
    script = "import os, sys, time\nfor line in sys.stdin:\n n = int(line)\n"
    script += ' os.abort() if n == 1 else time.sleep(60) if n == 3 else print(\'{"outcome": "refused"}\', flush=True)\n'
    import subprocess
    import sys

    def start(intact, seed):
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    monkeypatch.setattr(suite, "_start", start)
    outcomes = suite.judge_all(intact, files=5, workers=1, seconds=2.0, seed=0)
    assert [outcome["outcome"] for outcome in outcomes] == ["refused", "crash", "refused", "hang", "refused"]


def test_the_rest_action_is_declared_at_export(checkpoint, tmp_path, capsys):
    out = tmp_path / "arm.bundle"
    arguments = ["export", f"checkpoint='{checkpoint}'", *SMALL, "cost=goal_distance"]
    assert main([*arguments, f"out='{out}'", "rest=[0.5,-1.5]"]) == 0, capsys.readouterr().err
    contract = Bundle.load(out).contract
    np.testing.assert_array_equal(contract.rest_action, np.float32([0.5, -1.5]))
    assert np.isfinite([contract.observation.low, contract.observation.high]).all() and contract.embedding_size == 3
    assert main([*arguments, f"out='{tmp_path / 'other.bundle'}'", "rest=[9,0]"]) == 2
    assert "rest must be 2 numbers within the action bounds" in capsys.readouterr().err
