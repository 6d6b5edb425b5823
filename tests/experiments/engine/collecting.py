"""Suite of one dataset, for the engines."""

from experiments import build
from experiments.bench.data_steps import data_steps
from experiments.build.recipes import Paths
from experiments.engine.artifacts import TableFile
from experiments.engine.run import run_steps
from experiments.engine.step import exit_on_failure
from experiments.records import results

NAME = "data of two_room, seed 0"


def run(cfg):
    made = build.compose("plan", "task=two_room", *cfg.suite.recipe, f"runs='{cfg.runs}'")
    path = Paths.of(made, 0).data
    if not path.exists():
        table = TableFile("toy.csv", results.Row, results.IDENTITY, digits=None)
        exit_on_failure(run_steps(cfg, "collecting", data_steps(cfg, NAME, made, 0), table))
    return path
