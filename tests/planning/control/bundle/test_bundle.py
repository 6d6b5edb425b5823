import json
import os
import struct
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from planning import CEM, Agent, Custom, Effort, GoalDistance, RateLimit
from planning.control import Bundle, BundleEngine, BundleError, Controller, LiveEngine
from planning.control.bundle.bundle import digest
from planning.control.engine.contract import with_words
from planning.control.engine.formats import FORMAT

from ...toys import box, point_mass

ROOT = Path(__file__).parents[4]
PLANNER = CEM(horizon=6, num_samples=16, num_elites=4, iterations=2, num_keep=2, num_best=3)
GOAL = np.array([0.3, 0.1], np.float32)


def make(**options):
    costs = {"goal": GoalDistance(), "effort": Effort()}
    options = {"constraints": {"rate": RateLimit(100.0)}, "replan_every": 2, **options}
    model = point_mass(action_block=2, eye=True, reflexes=True)
    return Agent(model, PLANNER, costs, {"goal": 1.0, "effort": 0.01}, box(), **options)


@pytest.fixture(scope="module")
def bundle():
    return Bundle.of(make(), task="point", sensors=("x", "y"), sensor_units=("m", "m"), guards={"threshold": [1.5]})


@pytest.fixture(scope="module")
def path(bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "point.bundle"
    replace(bundle, extra={"scale": np.ones(4, np.float32)}).save(path)
    return path


@pytest.fixture(scope="module")
def control(path):
    control = Controller.load(path, cache=True)
    control.warmup()
    return control


@pytest.fixture(scope="module")
def live():
    return LiveEngine(make(), task="point")


def parts(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["jepa-mpc"])
    return header, {name: array.copy() for name, array in parse(content).items()}


def written(tmp_path, header, tensors, rehash=True):
    if rehash:
        header["sha256"] = digest(header, tensors)
    path = tmp_path / "changed.bundle"
    path.write_bytes(serialise(tensors, {"jepa-mpc": json.dumps(header)}))
    return path


def test_a_bundle_acts_as_the_live_agent_does_to_the_last_bit(control, live):
    for seed in (0, 7, 2**32 + 5, -3):
        state, expected = control.engine.begin(GOAL, seed, 2), live.begin(GOAL, seed % 2**32, 2)
        for step in range(4):
            observation = np.array([0.01, -0.02], np.float32) * step
            action, state = control.engine.step(state, observation)
            wanted, expected = live.step(expected, observation)
            np.testing.assert_array_equal(action, wanted)
        one, other = control.engine.plan(state), live.plan(expected)
        jax.tree.map(np.testing.assert_array_equal, one, other)
        np.testing.assert_array_equal(control.engine.imagined(state), live.imagined(expected))


def test_every_method_is_that_of_the_live_engine(control, live):
    engine, plans = control.engine, []
    for each in (engine, live):
        state = each.observe(each.begin(GOAL, 1, 0), np.zeros(2, np.float32))
        state = each.refine(each.freeze(state, np.full((6, 2), -1.0), 3))
        action, state = each.commit(state)
        plan = each.plan(state)
        judged = each.evaluate(state, plan.sequences)
        block = np.ones((2, 2), np.float32)
        after = each.predict(each.root(state), block)
        reflex = each.reflex([[0.1, 0.0], [0.11, 0.0]], GOAL)
        counts = each.executed(state), each.observed(state)
        plans.append((action, plan, judged, after, each.probe(after), reflex, counts))
    jax.tree.map(np.testing.assert_array_equal, *plans)
    assert (plans[0][1].actions[:3] == -1).all() and plans[0][0][0] == -1
    assert with_words(engine.contract, sensors=(), sensor_units=()) == live.contract
    assert engine.disagreement(engine.begin(GOAL, 1, 0)) is None
    np.testing.assert_allclose(plans[0][-2], [3 * 0.19 - 0.1, 0.3], rtol=1e-5)


def test_nothing_compiles_after_warmup_and_the_next_start_finds_what_was_compiled(control, path, monkeypatch):
    folder = path.with_name(f"{path.name}.cache")
    kept = {file.name for file in folder.iterdir()}
    assert kept and jax.config.jax_compilation_cache_dir != str(folder)
    compiled = dict(control.engine._compiled)
    control.reset(goal=[0, 0.2], seed=3)
    control.act([0, 0])
    control.engine.weights = {"goal": 2.0, "effort": 0.0}
    control.act((0.1, 0.1))
    control.engine.weights = {"goal": 1.0, "effort": 0.01}
    control.imagined()
    assert control.engine._compiled == compiled
    again = Controller.load(path, deadline_ms=1000.0, cache=True)
    again.warmup()
    assert {file.name for file in folder.iterdir() if "atime" not in file.name} <= kept
    again.reset(goal=[0, 0.2], seed=3)
    assert np.abs(again.act([0, 0])).max() <= 1 and again.anytime.iterations == 2


def test_weights_change_what_is_planned(control):
    engine = control.engine
    state = engine.observe(engine.begin(GOAL, 1, 0), np.zeros(2, np.float32))
    before = engine.plan(engine.refine(state))
    engine.weights = {"goal": 0.0, "effort": 1.0}
    after = engine.plan(engine.refine(state))
    engine.weights = {"goal": 1.0, "effort": 0.01}
    assert np.square(after.actions).sum() < np.square(before.actions).sum() and after.terms["goal"] == 0
    with pytest.raises(ValueError, match="give one for each"):
        engine.weights = {}


def test_what_travels_along_comes_back(path):
    bundle = Bundle.load(path)
    assert bundle.guards == {"threshold": [1.5]} and bundle.contract.sensor_units == ("m", "m")
    np.testing.assert_array_equal(bundle.extra["scale"], np.ones(4))
    with pytest.raises(ValueError, match="holds no agent"):
        _ = Controller(BundleEngine(bundle)).agent


@pytest.mark.parametrize("full", [True, False])
def test_no_file_name_of_the_exporting_machine_is_inside(full):
    settings = {"jax_include_full_tracebacks_in_locations": full, "jax_traceback_in_locations_limit": 50}
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        content = Bundle.of(make()).to_bytes()
        assert settings == {name: getattr(jax.config, name) for name in settings}
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
    found = {
        name for name in (str(ROOT), str(Path(jax.__file__).parent), sys.prefix, ".py") if name.encode() in content
    }
    assert not found


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9999])
def test_a_truncated_file_is_refused(path, tmp_path, share):
    content = path.read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(share * len(content))])
    with pytest.raises(BundleError, match="truncated|altered") as caught:
        Controller.load(tmp_path / "cut")
    assert "\n" not in str(caught.value) and isinstance(caught.value, ValueError)


def test_an_altered_file_is_refused(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    (tmp_path / "altered").write_bytes(content)
    with pytest.raises(BundleError, match="altered after it was written"):
        Bundle.load(tmp_path / "altered")
    (tmp_path / "deep").write_bytes(struct.pack("<Q", 60_000) + b"[" * 60_000)
    with pytest.raises(BundleError, match="RecursionError|altered"):
        Bundle.load(tmp_path / "deep")
    (tmp_path / "huge").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(BundleError, match="truncated"):
        Bundle.load(tmp_path / "huge")
    with pytest.raises(FileNotFoundError, match="jepa-mpc export"):
        Bundle.load(tmp_path / "none")


def change(header, tensors, what):
    """Do one thing to a bundle that its hash then says is right."""
    contract = header["contract"]
    program = tensors["program/step"]
    match what:
        case "newer":
            header["format"] = FORMAT + 1
        case "kind":
            header["kind"] = "other"
        case "field":
            header["run"] = "import os"
        case "bounds":
            contract["action_low"] = [-1.0, float("nan")]
        case "other bounds":
            contract["action_high"] = [5.0, 5.0]
        case "horizon":
            contract["horizon"] = contract["horizon"] * 2
        case "history":
            contract["history"] = 5
        case "deep":
            for _ in range(30):
                header["guards"] = {"x": header["guards"]}
        case "missing":
            tensors.pop("agent/model.params.mass")
        case "unnamed":
            tensors["agent/more"] = np.zeros(3, np.float32)
        case "shape":
            tensors["agent/model.params.mass"] = np.ones(2, np.float32)
        case "type":
            tensors["agent/model.params.mass"] = np.ones((), np.float64)
        case "nan":
            tensors["agent/model.params.mass"] = np.full((), np.nan, np.float32)
        case "extra":
            tensors["extra/scale"] = np.array([np.inf], np.float32)
        case "weight":
            tensors["agent/weights.goal"] = np.full((), 9.0, np.float32)
        case "unknown program":
            header["programs"].append("run")
            tensors["program/run"] = program
        case "swapped":
            tensors["program/step"] = tensors["program/observe"]
        case "garbage":
            tensors["program/step"] = np.random.default_rng(0).integers(0, 256, len(program)).astype(np.uint8)
        case "cut program":
            tensors["program/step"] = program[: len(program) // 2]
        case "platform":
            header["platforms"] = ["abacus"]
        case "state":
            header["state"] = [entry for entry in header["state"] if entry[0] != "plan.actions"]
        case "huge state":
            header["state"].append(["search.more", "F32", [2**20, 2**20]])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("newer", f"newer format {FORMAT + 1}, and this version reads {FORMAT}"),
        ("kind", "another program's file"),
        ("field", f"unknown fields: 'run', which a newer jepa-mpc may have written .it has format {FORMAT}, and"),
        ("bounds", "altered, or another program's file"),
        ("other bounds", "not the action_high of its contract"),
        ("horizon", "its contract has F32"),
        ("history", "history of its state is"),
        ("deep", "nested deeper than 16"),
        ("missing", "no tensor agent/model.params.mass"),
        ("unnamed", "nothing names: agent/more"),
        ("shape", "takes or gives other arrays than the contract says"),
        ("type", "has the type F64"),
        ("nan", "not a number"),
        ("extra", "extra/scale must be finite"),
        ("weight", "not the weight in its contract"),
        ("unknown program", "missing or unknown: run"),
        ("swapped", "program step takes or gives other arrays"),
        ("garbage", "program step is not intact"),
        ("cut program", "program step is not intact"),
        ("platform", "platforms must be some of"),
        ("state", "plan.actions of its state is missing"),
        ("huge state", "more than|list a name"),
    ],
)
def test_a_right_hash_over_something_wrong_is_no_excuse(path, tmp_path, what, words):
    header, tensors = parts(path)
    change(header, tensors, what)
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.load(written(tmp_path, header, tensors))
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def test_bits_that_crash_the_parser_end_in_one_sentence(path, tmp_path):
    """StableHLO's own reader dies of some of these: it must not be this process that finds out."""
    header, tensors = parts(path)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(6):
        changed = {**tensors, "program/observe": tensors["program/observe"].copy()}
        code = changed["program/observe"]
        code[rng.integers(len(code) // 2, len(code), 3)] ^= np.uint8(1 << int(rng.integers(8)))
        try:
            Bundle.load(written(tmp_path, header, changed))
        except BundleError as error:
            refused += "program observe" in str(error)
    assert refused > 1


def endless(model, imagined, spec):
    return jax.lax.while_loop(lambda x: (x < 1e9).all(), lambda x: x + 1.0, imagined.actions[:, 0, 0])


def outside(model, imagined, spec):
    shape = jax.ShapeDtypeStruct((imagined.actions.shape[0],), np.float32)
    return jax.pure_callback(lambda actions: actions[:, 0, 0], shape, imagined.actions)


def test_a_program_that_could_run_for_ever_or_leave_its_arrays_is_not_written():
    agent = make(replan_every=1)
    with pytest.raises(BundleError, match="loop that does not count"):
        Bundle.of(replace(agent, costs={**agent.costs, "goal": Custom(endless)}))
    with pytest.raises(ValueError, match="cannot be exported"):
        Bundle.of(replace(agent, costs={**agent.costs, "goal": Custom(outside)}))
    with pytest.raises(ValueError, match="settled precision"):
        Bundle.of(replace(agent, precision="auto"))


BARE = """
import sys
ALLOWED = {"jax", "jaxlib", "numpy", "safetensors", "flatbuffers", "planning", "ml_dtypes", "scipy", "opt_einsum"}
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
class Bare:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in ALLOWED or top in sys.stdlib_module_names or top.startswith("_")
        return PathFinder.find_spec(name, path, target) if known else None
if sys.argv[2] == "blocked":
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Bare()]
import numpy as np
from planning.control import Controller
controller = Controller.load(sys.argv[1], cache=True)
controller.warmup()
controller.reset(goal=np.array([0.3, 0.1]), seed=0)
print(controller.act(np.zeros(2)).tolist())
foreign = {"flax", "mujoco", "gymnasium", "hydra", "jaxtyping", "optax", "worldmodel", "envs", "experiments"}
print(sorted(foreign & set(sys.modules)))
"""


def drive(python, path, how, **env):
    done = subprocess.run(
        [python, "-c", BARE, str(path), how], env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    action, foreign = done.stdout.splitlines()
    assert foreign == "[]"
    return json.loads(action)


def test_a_robot_needs_jax_numpy_safetensors_and_flatbuffers_alone(control, path):
    control.reset(goal=[0.3, 0.1], seed=0)
    expected = control.act(np.zeros(2))
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    np.testing.assert_array_equal(np.float32(drive(sys.executable, path, "blocked", PYTHONPATH=paths)), expected)


@pytest.mark.slow
def test_the_same_in_a_real_environment(control, path, tmp_path):
    venv.create(tmp_path / "robot", with_pip=True)
    python = tmp_path / "robot" / "bin" / "python"
    names = ("jax", "jaxlib", "numpy", "safetensors", "flatbuffers")
    pip = [python, "-I", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", *names]
    subprocess.run(pip, check=True)
    control.reset(goal=[0.3, 0.1], seed=0)
    expected = control.act(np.zeros(2))
    np.testing.assert_array_equal(np.float32(drive(python, path, "real", PYTHONPATH=str(ROOT))), expected)
