"""Files of earlier versions and the committed ones: all of them are read, and give what they gave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hydra.utils import get_class

from experiments.bench.expectation.rows import ExpectationRow
from experiments.bench.few_labels.rows import FewLabelsRow
from experiments.bench.goal.paired import PairedRow
from experiments.bench.latency.rows import LatencyRow
from experiments.bench.planners.rows import PlannerRow
from experiments.bench.representation.rows import RepresentationRow
from experiments.bench.training.profile_rows import ProfileRow
from experiments.bench.training.rows import SpeedRow
from experiments.build import compose, controller, recipes
from experiments.build.defaults import defaults
from experiments.build.learned import learned
from experiments.comparison.published import PublishedScore
from experiments.evaluation.rewards.measure import ReturnRow
from experiments.records import table_file
from experiments.records.curves import CurveRow
from experiments.records.results import Row, Value
from planning.control import Controller
from worldmodel.models.checkpoint import (
    MODEL,
    REWARD_MODEL,
    TRAINING,
    kind_of,
    load_model,
    load_reward_model,
    load_training,
)

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "data" / "formats" / "1"
EXPECTED = json.loads((OLD / "expected.json").read_text())
RESULTS = ROOT / "experiments" / "results"
TABLES = {
    "results": Row, "values": Value, "curves": CurveRow, "returns": ReturnRow, "paired": PairedRow,
    "planners": PlannerRow, "latency": LatencyRow, "published": PublishedScore,
}  # fmt: skip
# Other kinds of rows than the suites' own: the rest are rows of results.
COMMITTED = {
    "cartpole_again": CurveRow, "collection": Value, "partial_goals": Value, "planning": Value, "robot_loop": Value,
    "expectation": ExpectationRow, "few_labels": FewLabelsRow,
    "dmc_curves": CurveRow, "fine_tuning": CurveRow, "latency": LatencyRow, "paired": PairedRow, "planners": PlannerRow,
    "representation": RepresentationRow, "reward_plans": ReturnRow, "scale": Value,
    "second_start": Value, "stirred_tank": Value, "training_profile": ProfileRow, "training_speed": SpeedRow,
}  # fmt: skip
CHECKPOINTS = sorted((ROOT / "experiments" / "checkpoints").glob("*.safetensors"))


def test_an_old_model_encodes_and_predicts_as_it_did() -> None:
    model = load_model(OLD / "model.safetensors").model
    seen = jnp.asarray([[0.1, 0.2, -0.3, 0.4], [0.2, 0.1, 0.3, -0.4]])
    latent = model.encode(model.params, seen)
    after = model.predict(model.params, latent, jnp.asarray([[0.5, -0.5], [1.0, 0.0], [-1.0, 0.25]]))
    np.testing.assert_allclose(latent, EXPECTED["latent"], atol=1e-5)
    np.testing.assert_allclose(after.latent, EXPECTED["after"], atol=1e-5)


def test_an_old_reward_model_encodes_and_predicts_as_it_did() -> None:
    model = load_reward_model(OLD / "reward_model.safetensors").model
    latent = model.encode(model.params, jnp.asarray([[0.6, 0.8, -0.5]]))
    after = model.predict(model.params, latent, jnp.asarray([[1.5]]))
    # Its latent once carried reward and continuation in two more numbers.
    np.testing.assert_allclose(latent, EXPECTED["reward_latent"][:-2], atol=1e-5)
    np.testing.assert_allclose(after.latent, EXPECTED["reward_after"][:-2], atol=1e-5)
    np.testing.assert_allclose(after.reward, EXPECTED["reward_after"][-2], atol=1e-5)
    assert after.continuation is None and EXPECTED["reward_after"][-1] == 1.0


def test_an_old_bundle_acts_as_it_did() -> None:
    control = Controller.load(OLD / "two_room.bundle")
    control.warmup()
    control.reset(goal=[0.5, 0.5, 0.0, 0.0], seed=3)
    actions = [control.act([0.1 * step, -0.2, 0.3, 0.4]) for step in range(3)]
    np.testing.assert_allclose(actions, EXPECTED["actions"], atol=1e-3)
    assert control.engine.contract.task == "two_room" and control.engine.contract.observation.high.tolist() == [
        1,
        1,
        2,
        2,
    ]


def test_an_old_training_state_is_refused_because_of_its_recipe() -> None:
    """Its stages differ, so such a run starts again, in another folder or after its file is removed."""
    path = OLD / "two_room.training.safetensors"
    stored = json.loads(header(path))["fingerprint"]
    wanted = {**recipes.recipe(compose("plan", "task=two_room"), 0), "dataset": stored["dataset"]}
    with pytest.raises(ValueError, match="belongs to a run with .*'updates': 4000.*, or remove it"):
        load_training(path, None, wanted, defaults(wanted))


@pytest.mark.parametrize("name", TABLES)
def test_an_old_table_is_read(name: str) -> None:
    (row,) = table_file.read(OLD / f"{name}.csv", TABLES[name])
    assert "" not in (vars(row).get("command"), vars(row).get("task"))


def test_every_old_file_is_one_that_a_test_loads() -> None:
    files = {"model.safetensors", "reward_model.safetensors", "two_room.training.safetensors", "two_room.bundle"}
    assert {file.name for file in OLD.iterdir()} == {*files, "expected.json", *(f"{name}.csv" for name in TABLES)}
    kinds = [kind_of(OLD / f"{name}.safetensors") for name in ("model", "reward_model", "two_room.training")]
    assert kinds == [MODEL, REWARD_MODEL, TRAINING]


def test_old_models_become_controllers_for_their_tasks() -> None:
    control = controller(OLD / "model.safetensors")
    assert control.engine.contract.observation_size == 4 and control.engine.contract.observation.high.tolist() == [
        1,
        1,
        2,
        2,
    ]
    known = learned(OLD / "reward_model.safetensors")  # with the planner that its file names
    assert known.agent().planner.num_samples == 8 and known.task == "gym/Pendulum-v1"


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_every_committed_checkpoint_is_loaded_and_its_task_described(path: Path) -> None:
    model = load_model(path).model
    size = load_model(path).metadata["task"]["observation_size"]
    assert size == sum(sensor.size for sensor in model.observation.sensors)
    latent = model.encode(model.params, jnp.zeros((model.config.history, model.embedding_size)))
    assert latent.shape == (model.config.latent_size,) and np.isfinite(latent).all()


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.csv")), ids=lambda path: str(path.relative_to(RESULTS)))
def test_every_committed_table_is_read(path: Path) -> None:
    rows = table_file.read(path, COMMITTED.get(path.stem, Row))
    assert len(rows) == len(path.read_text().splitlines()) - 1 > 0
    assert table_file.read_beside(path)


def test_the_names_of_classes_in_old_files_exist() -> None:
    """A model file, a recipe and a manifest name classes by their dotted names; they may move, their names may not."""
    headers = [header(path) for path in (*CHECKPOINTS, *OLD.glob("*.safetensors"))]
    texts = [*headers, *(path.read_text() for path in RESULTS.rglob("*.json"))]
    names = {name for text in texts for name in targets(json.loads(text))}
    assert {"envs.behaviours.Mixture", "planning.CEM", "planning.TemporalDistance", "planning.EliteMPPI"} <= names
    for name in sorted(names):
        assert isinstance(get_class(name), type), name


def header(path: Path) -> str:
    """The JSON of ours in the header of a safetensors file."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return str(json.loads(content[8 : 8 + size])["__metadata__"]["jepa-mpc"])


def targets(value: Any) -> Iterator[str]:
    """Every `_target_` in nested JSON."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in entries:
        if key == "_target_":
            yield each
        else:
            yield from targets(each)
