"""The figures of a diagnosis with the range that is healthy, what each of them tells, and what to do if it is not."""

from __future__ import annotations

from collections.abc import Mapping

from .records import Health

# (lowest, highest, meaning, mend), None for no bound.
RANGES: dict[str, tuple[float | None, float | None, str, str]] = {
    "horizon_ratio": (
        None,
        0.5,
        "Error at the planning horizon over that of predicting no change: below 1 it knows something.",
        "train longer, on more data, or plan less far (planner.horizon)",
    ),
    "action_sensitivity": (
        2.0,
        None,
        "Error with shuffled actions over error with the true ones: near 1 it ignores what is done.",
        "check that actions and observations of the data are aligned; raise objective.inverse",
    ),
    "feature_std": (
        0.3,
        3.0,
        "Mean spread of a feature: near 0 the representation has collapsed in scale.",
        "raise objective.sigreg",
    ),
    "feature_std_min": (
        0.05,
        None,
        "Spread of the stillest feature: 0 is a dead one.",
        "raise objective.sigreg or take a smaller model.latent_size",
    ),
    "rank": (
        4.0,
        None,
        "Effective number of dimensions in use (RankMe): near 1 it has collapsed onto a line.",
        "raise objective.sigreg or objective.inverse",
    ),
    "cosine": (
        -0.3,
        0.5,
        "Mean cosine between moments: near 1 all of them look alike.",
        "raise objective.sigreg; look whether the data are of one place only",
    ),
    "normality": (
        None,
        20.0,
        "SIGReg over its value for a Gaussian: 1 is a Gaussian cloud, hundreds a collapse.",
        "raise objective.sigreg or train longer",
    ),
    "critic_order": (
        0.7,
        None,
        "How often the critic calls the later moment of a drive nearer to its end.",
        "raise objective.distance or train longer",
    ),
}


def judged(values: Mapping[str, float]) -> list[Health]:
    """Each known figure with its range, in the order of `RANGES`."""
    return [Health(name, float(values[name]), *RANGES[name]) for name in RANGES if name in values]


def collapse(values: Mapping[str, float]) -> str | None:
    return None
