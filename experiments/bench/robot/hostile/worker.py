"""Process that loads broken bundles and acts with those that load; it may crash. Started by `suite=hostile_bundles`.

Arguments: the intact bundle, a folder, the seed. Input: one number per line. Output: one line of JSON for each, with
`outcome` and `words`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from planning.control import BundleError, Controller

from .mutations import mutate


def judge(path: Path) -> tuple[str, str]:
    """Outcome and message of a file: `refused` in one sentence, `acted` within bounds, or `unclean`, a defect."""
    try:
        controller = Controller.load(path)
        controller.warmup()
        contract = controller.engine.contract
        zeros = np.zeros(contract.observation_size, np.float32)
        controller.reset(goal=zeros, seed=0)
        for _ in range(2):
            action = controller.act(zeros)
            if not (np.isfinite(action).all() and (contract.low <= action).all() and (action <= contract.high).all()):
                return "unclean", f"the action {action} is out of bounds"
        return "acted", ""
    except BundleError as error:
        words = str(error)
        return ("refused", words) if "\n" not in words else ("unclean", words)
    except Exception as error:  # any other error is a defect
        return "unclean", f"{type(error).__name__}: {error!s:.300}"


def main() -> None:
    """Judge the files whose numbers arrive on standard input."""
    intact, folder, seed = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3])
    for line in sys.stdin:
        number = int(line)
        mutated = mutate(intact, number, seed)
        path = folder / f"{number}.bundle"
        path.write_bytes(mutated.content)
        outcome, words = judge(path)
        path.unlink()
        answer: dict[str, Any] = {"outcome": outcome, "words": words, "kind": mutated.kind, "hash": mutated.rehashed}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
