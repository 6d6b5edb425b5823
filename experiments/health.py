"""The figures of `worldmodel.diagnostics` with the range that is healthy and what each of them tells."""

from __future__ import annotations

from collections.abc import Mapping

from .records import Health

# (lowest, highest, meaning), None for no bound.
RANGES: dict[str, tuple[float | None, float | None, str]] = {
    "horizon_ratio": (
        None,
        0.5,
        "Error at the planning horizon over that of predicting no change: below 1 it knows something.",
    ),
    "action_sensitivity": (
        2.0,
        None,
        "Error with shuffled actions over error with the true ones: near 1 it ignores what is done.",
    ),
    "feature_std": (0.3, 3.0, "Mean spread of a feature: near 0 the representation has collapsed in scale."),
    "feature_std_min": (0.05, None, "Spread of the stillest feature: 0 is a dead one."),
    "rank": (4.0, None, "Effective number of dimensions in use (RankMe): near 1 it has collapsed onto a line."),
    "cosine": (-0.3, 0.5, "Mean cosine between moments: near 1 all of them look alike."),
    "normality": (None, 20.0, "SIGReg over its value for a Gaussian: 1 is a Gaussian cloud, hundreds a collapse."),
    "critic_order": (0.7, None, "How often the critic calls the later moment of a drive nearer to its end."),
}


def judged(values: Mapping[str, float]) -> list[Health]:
    """Each known figure with its range, in the order of `RANGES`."""
    return [Health(name, float(values[name]), *RANGES[name]) for name in RANGES if name in values]
