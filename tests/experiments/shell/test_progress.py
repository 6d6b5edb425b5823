from __future__ import annotations

from experiments.shell.progress import COMPILING, progress_bar


def told(capsys, *progress, compiles=True):
    with progress_bar("model on two_room", 10, compiles) as bar:
        for done in progress:
            bar(done, 10)
    return capsys.readouterr()


def test_compilation_is_said_on_standard_error_before_anything_moves(capsys):
    out, err = told(capsys, 0)
    assert out == "" and err.startswith(f"model on two_room: {COMPILING}\n")


def test_a_bar_of_what_is_not_compiled_says_nothing_of_it(capsys):
    assert COMPILING not in told(capsys, 0, 10, compiles=False).err
