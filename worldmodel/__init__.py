"""Learn a representation and its dynamics: encoder, predictor and heads, their losses, and training."""

import warnings
from importlib.util import find_spec
from pathlib import Path

# A user's own `experiments` beside a notebook hides ours, and only a package that is found can say so.
_experiments = find_spec("experiments")
_ours = Path(__file__).resolve().parents[1] / "experiments" / "__init__.py"
if _experiments is not None and _experiments.origin is not None and Path(_experiments.origin).resolve() != _ours:
    warnings.warn(
        f"{_experiments.origin} hides jepa-mpc's own package `experiments`: rename it, or move it out of the folder "
        "that Python searches first, to use jepa-mpc's",
        stacklevel=2,
    )
