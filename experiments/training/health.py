"""Figures of a diagnosis: the healthy range, the meaning, and the fix when outside the range.

The ranges separate good models of the first three tasks from models broken on purpose: trained without the
regulariser against collapse, or on shuffled actions. docs/diagnose.md has both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..records.health import Health

# (lowest, highest, meaning, fix), None for no bound.
RANGES: dict[str, tuple[float | None, float | None, str, str]] = {
    "horizon_ratio": (
        None,
        0.3,
        "Error at the end of the horizon over that of predicting no change.",
        "train longer, on more data, or plan less far (planner.horizon)",
    ),
    "action_sensitivity": (
        3.0,
        None,
        "Error with shuffled actions over error with the true ones: at 1 it ignores what is done.",
        "see that actions and observations are aligned in the data; act more, and more variedly, in them",
    ),
    "path_error": (
        None,
        0.5,
        "Where the body is imagined to end, off by this share of the way it really goes.",
        "train longer, on more data, or plan less far (planner.horizon)",
    ),
    "disagreement_order": (
        0.3,
        None,
        "Rank correlation between the disagreement of an ensemble and its true error.",
        "do not plan with risk, nor guard by disagreement, before there are more members or more varied data",
    ),
    "feature_std": (
        0.3,
        3.0,
        "Mean spread of a feature: below 0.05 it has collapsed. Without SIGReg the scale is free.",
        "raise objective.sigreg or objective.inverse",
    ),
    "feature_std_min": (
        0.2,
        None,
        "Spread of the stillest feature: 0 is a dead one.",
        "raise objective.sigreg, or take a smaller model.latent_size",
    ),
    "rank": (
        6.0,
        None,
        "Effective number of dimensions in use (RankMe): near 1 it has collapsed onto a line.",
        "raise objective.sigreg or objective.inverse",
    ),
    "cosine": (
        -0.2,
        0.2,
        "Mean cosine between moments: near 1 all of them look alike.",
        "raise objective.sigreg; see that the data are not of one place only",
    ),
    "normality": (
        None,
        50.0,
        "SIGReg over its value for a Gaussian: 1 is a Gaussian cloud, 400 a collapse.",
        "raise objective.sigreg, or train longer",
    ),
    "straightness": (
        None,
        None,
        "Mean cosine of successive changes of the latent: 1 is a straight path. No verdict on a model.",
        "",
    ),
    "probe_qpos": (
        0.8,
        None,
        "Positions that the sensors show: the least R² of a linear map from the representation.",
        "raise objective.sigreg or objective.inverse, or train longer; what is hidden at times needs model.memory",
    ),
    "probe_qvel": (
        0.7,
        None,
        "Velocities that the sensors show: the least R² of a linear map from the representation.",
        "give it more history (model.history), or raise objective.inverse",
    ),
    "probe_position": (
        0.8,
        None,
        "Logged positions that the sensors show: the least R² of such a map.",
        "raise objective.sigreg or objective.inverse, or train longer",
    ),
    "probe_state": (
        None,
        None,
        "Simulator states: the least R² of a linear map from the representation.",
        "",
    ),
    "critic_order": (
        0.7,
        None,
        "How often the critic calls the later of two moments nearer to a window's end.",
        "raise objective.distance, or train longer",
    ),
    "critic_rank": (
        0.7,
        None,
        "Rank correlation of the critic's distance with the steps that were left.",
        "train longer, with longer episodes and more goals reached in them",
    ),
    "critic_reach": (
        0.5,
        None,
        "Share of the longest drives over which the critic's distance still grows; 0.75 is even growth.",
        "train longer, with longer episodes; plan with waypoints",
    ),
    "euclid_rank": (
        None,
        None,
        "The same correlation for Euclid's distance: what cost=goal_distance would follow. Walls spoil it.",
        "",
    ),
    "euclid_reach": (
        None,
        None,
        "The same share for Euclid's distance.",
        "",
    ),
    "landscape_agreement": (
        0.8,
        None,
        "Rank correlation of costs as imagined and on the true dynamics, over the first actions.",
        "the predictor is at fault: train longer, on more data, or plan less far",
    ),
    "landscape_regret": (
        None,
        0.1,
        "How far up the true costs the model's choice of first actions lies: 0 is the best, 1 the worst.",
        "the predictor is at fault: train longer, on more data, or plan less far",
    ),
    "labelled_share": (
        1e-9,
        None,
        "Share of the steps of the training whose action was recorded: without any, no plan is possible.",
        "train on data in which the actions of some episodes are recorded",
    ),
    "label_agreement": (
        0.5,
        None,
        "Share of the recorded actions that can be told from what is seen, in the median of the episodes.",
        "see that log and video begin together; record the actions of more episodes",
    ),
    "doubtful_episodes": (
        None,
        0.5,
        "Episodes whose recorded actions contradict what they show; the training's log names them.",
        "see whether log and video belong together, or leave the actions of those episodes out",
    ),
}

UNMEASURED = "give more held-out data, and longer episodes: these are too few to measure it"
COLLAPSED_STD = 0.05
COLLAPSED_RANK = 2.0


def judged(values: Mapping[str, float]) -> list[Health]:
    """Known figures with their ranges, in the order of `RANGES`."""
    return [_judged(name, float(values[name]), *RANGES[name]) for name in RANGES if name in values]


def _judged(name: str, value: float, low: float | None, high: float | None, meaning: str, fix: str) -> Health:
    return Health(name, value, low, high, meaning, fix if math.isfinite(value) else UNMEASURED)


def collapse(values: Mapping[str, float]) -> str | None:
    """Description and fix of a collapse if `diagnostics.spread` indicates one, otherwise None.

    Looser than `RANGES`: in the middle of training, and without SIGReg, features of a smaller scale are no collapse,
    and the statistic itself cannot distinguish the two.
    """
    if values["feature_std"] < COLLAPSED_STD:
        what = f"features deviate by {values['feature_std']:.3g} on average, and a healthy one by about 1"
    elif values["rank"] < COLLAPSED_RANK:
        what = f"they use {values['rank']:.1f} dimensions in effect"
    else:
        return None
    return (
        f"{what} (SIGReg at {values['normality']:.0f} times a Gaussian's): raise objective.sigreg or "
        "objective.inverse, or lower training.learning_rate; a low prediction loss means nothing now"
    )
