import pytest

from experiments import build
from experiments.bench.robot import mutants
from experiments.bench.robot.mutants import ROOT, Mutant, mutated

SETTINGS = build.compose("bench", "suite=mutants").suite
KNOWN = [Mutant(name=str(name), **values) for name, values in SETTINGS.mutants.items()]


@pytest.mark.parametrize("mutant", KNOWN, ids=lambda mutant: mutant.name)
def test_each_mutant_changes_one_line_that_is_there_and_still_compiles(mutant):
    source = (ROOT / "planning" / "control" / f"{mutant.file}.py").read_text(encoding="utf-8")
    changed = mutated(mutant, source)
    assert changed != source
    compile(changed, mutant.name, "exec")


def test_a_mutant_of_a_line_that_is_gone_is_refused():
    with pytest.raises(ValueError, match=r"line of chain.py exactly once, but it is there 0 times: 'gone'"):
        mutated(Mutant("old", "chain", "gone", ""), "present")


def test_an_unknown_mutant_is_refused():
    with pytest.raises(ValueError, match="suite.only names x_men, and the mutants are"):
        mutants.run(build.compose("bench", "suite=mutants", "suite.only=[x_men]"))


@pytest.mark.slow
def test_every_mutant_is_noticed(tmp_path):
    noticed = mutants.run(build.compose("bench", "suite=mutants", f"results='{tmp_path}'"))
    assert len(noticed) >= 20 and all(noticed.values())
