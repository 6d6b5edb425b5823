"""`make notebooks`: run the sources in this folder, and keep them beside themselves as notebooks with their outputs.

Needs the extra `notebooks`. Each is run in an empty folder of its own. What belongs to the machine and not to the
result (progress bars, warnings of the kernel, times of cells) is left out of the file, and pictures are kept small.
"""

from __future__ import annotations

import os
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
SOURCES = ("compare_with_rl", "change_the_goal", "another_object", "what_did_the_model_learn", "from_pictures")
PROGRESS = "application/vnd.jupyter.widget-view+json"  # of a notebook's progress bar


def render(source: Path) -> Path:
    """Execute one source and write `SOURCE.ipynb` beside it; what a cell raises is raised here."""
    notebook = jupytext.read(source, fmt="py:percent")
    with TemporaryDirectory() as empty:
        NotebookClient(notebook, timeout=None, record_timing=False, resources={"metadata": {"path": empty}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # random ones would differ each time
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_plain, cell.outputs) if _is_result(output)]
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    text = nbformat.writes(notebook)
    for place in (str(Path.home()), str(FOLDER.parents[1]), empty):
        if place in text and place != "/":
            raise ValueError(f"{source.name} shows {place}, a folder of this machine, in its outputs: write none there")
    written = source.with_suffix(".ipynb")
    written.write_text(text + "\n", encoding="utf-8")
    return written


def _plain(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without the HTML of the command's lines, whose text says the same, and pictures in 256 colours."""
    data = output.get("data", {})
    if output.output_type == "display_data" and "text/plain" in data:
        data.pop("text/html", None)
    if "image/png" in data:
        picture, small = Image.open(BytesIO(b64decode(data["image/png"]))), BytesIO()
        picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
        data["image/png"] = b64encode(small.getvalue()).decode()
    return output


def _is_result(output: nbformat.NotebookNode) -> bool:
    data = output.get("data", {"text/plain": "printed"})
    if "UserWarning" in data.get("text/plain", ""):  # of Rich, that a package for moving progress bars is missing
        return False
    return output.get("name") != "stderr" and PROGRESS not in data and set(data.values()) != {""}


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
    for name in sys.argv[1:] or SOURCES:
        sys.stdout.write(f"{render(FOLDER / f'{name}.py')}\n")
