"""Untrusted programs are first read in a separate process: garbage may crash or hang the parser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jaxlib
from jax import export

from . import program_check
from .file import BundleError
from .programs import Spec

_CHECK_SECONDS = 55.0  # of a busy machine's time; the process itself may compute for 10 s, then the kernel ends it


def inspect(programs: dict[str, tuple[export.Exported, list[Spec], list[Spec]]]) -> None:
    """Read the programs in a separate process: garbage may crash or hang the parser.

    Raises:
      BundleError: a program that is not suitable, or that crashed the parser.
    """
    head, body = [], []
    for program, inputs, outputs in programs.values():
        kept = [inputs[index].mlir() for index in program.module_kept_var_idx]
        platform = ["tensor<i32>"] if len(program.platforms) > 1 else []
        code = bytes(program.mlir_module_serialized)
        head.append({"size": len(code), "inputs": platform + kept, "outputs": [spec.mlir() for spec in outputs]})
        body.append(code)
    command = [sys.executable, "-I", program_check.__file__, str(Path(jaxlib.__file__).parent.parent)]
    try:
        done = subprocess.run(
            command, input=json.dumps(head).encode() + b"\n" + b"".join(body), capture_output=True,
            timeout=_CHECK_SECONDS, check=False,
        )  # fmt: skip
        answers = done.stdout.decode(errors="replace").splitlines()
    except subprocess.TimeoutExpired as error:
        answers = (error.stdout or b"").decode(errors="replace").splitlines()
    for index, name in enumerate(programs):
        verdict = json.loads(answers[index]) if index < len(answers) else "it could not be read to its end"
        if verdict:
            raise BundleError(f"its program {name} is not intact: {verdict}")
