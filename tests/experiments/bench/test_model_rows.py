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
