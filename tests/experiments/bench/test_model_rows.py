"""Steps of the suites whose rows each judge one model: names, kinds and files that a half-finished run relies on."""

from __future__ import annotations

from pathlib import Path

from experiments import build
from experiments.bench.few_labels import suite as few_labels
from experiments.bench.representation import suite as representation


def steps(module, folder, *words):
    name = module.__name__.split(".")[-2]
    cfg = build.compose("bench", f"suite={name}", f"runs='{folder}'", f"results='{folder}'", *words)
    return module.Suite(cfg).steps(list(module.cells(cfg)))


def described(found, folder):
    """Name, kind, needs and what is read, below the folder."""
    return [
        (each.name, each.kind, each.needs, [str(path.relative_to(folder)) for path in each.reads]) for each in found
    ]


LABELS = ("suite.tasks=[two_room]", "suite.methods=[joint]", "suite.shares=[0.02,1.0]")


def test_models_of_a_task_and_seed_wait_for_one_data_set(tmp_path):
    data, place = "data of two_room, seed 0", "few_labels/two_room-pixels-seed0"
    assert described(steps(few_labels, tmp_path, *LABELS), tmp_path) == [
        (data, "data", (), []),
        ("joint on two_room, 2% labelled, seed 0: model", "model joint 0.02", (data,), [f"{place}-data"]),
        (
            "joint on two_room, 2% labelled, seed 0",
            "row",
            ("joint on two_room, 2% labelled, seed 0: model",),
            [f"{place}-joint-0.02.safetensors"],
        ),
        ("joint on two_room, 100% labelled, seed 0: model", "model joint 1.0", (data,), [f"{place}-data"]),
        (
            "joint on two_room, 100% labelled, seed 0",
            "row",
            ("joint on two_room, 100% labelled, seed 0: model",),
            [f"{place}-joint-1.safetensors"],
        ),
    ]


def test_rows_of_one_model_wait_for_it(tmp_path):
    words = ("suite.tasks=[two_room]", "suite.methods=[jepa]", "suite.conditions=[clean,noise]")
    data, place = "data of two_room, clean, seed 0", "representation/clean/two_room-pixels-seed0"
    model, file = "jepa on two_room, clean, 1500 updates, seed 0: model", f"{place}-jepa-1500.safetensors"
    assert described(steps(representation, tmp_path, *words), tmp_path) == [
        (data, "data", (), []),
        (model, "model jepa 1500", (data,), [f"{place}-data"]),
        ("jepa on two_room, clean, 1500 updates, seed 0", "row", (model,), [file]),
        ("jepa on two_room, noise, 1500 updates, seed 0", "row", (model,), [file]),
    ]


def test_a_model_that_is_there_is_not_trained(tmp_path):
    for share in ("0.02", "1"):
        file = Path(tmp_path) / "few_labels" / f"two_room-pixels-seed0-joint-{share}.safetensors"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    found = steps(few_labels, tmp_path, *LABELS)
    assert [(each.kind, each.needs) for each in found] == [("row", ()), ("row", ())]


def test_data_and_rows_are_divided_into_shards(tmp_path):
    shards = ("engine.collection_shards=2", "engine.evaluation_shards=3")
    words = ("suite.tasks=[two_room]", "suite.methods=[joint]", "suite.shares=[0.02]", *shards)
    found = described(steps(few_labels, tmp_path, *words, 'suite.overrides=["collection.episodes=10"]'), tmp_path)
    data, row = "data of two_room, seed 0", "joint on two_room, 2% labelled, seed 0"
    place, outcomes = "few_labels/two_room-pixels-seed0", "few_labels/two_room-0.02-joint-0"
    model, file = f"{row}: model", f"{place}-joint-0.02.safetensors"
    parts = {"0 to 24": "0-24", "25 to 49": "25-49", "50 to 99": "50-99"}
    folders = [f"{place}-data-shards/{numbers}" for numbers in ("0-4", "5-9")]
    assert found == [
        (f"{data}, episodes 0 to 4", "data, 1 of 2 shards", (), []),
        (f"{data}, episodes 5 to 9", "data, 1 of 2 shards", (), []),
        (data, "data, 2 shards joined", tuple(f"{data}, episodes {each}" for each in ("0 to 4", "5 to 9")), folders),
        (model, "model joint 0.02", (data,), [f"{place}-data"]),
        *((f"{row}, episodes {each}", "row, 1 of 3 shards", (model,), [file]) for each in parts),
        (
            row,
            "row, 3 shards joined",
            (model, *(f"{row}, episodes {each}" for each in parts)),
            [file, *(f"{outcomes}.{each}.json" for each in parts.values())],
        ),
    ]
