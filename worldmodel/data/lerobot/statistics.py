"""Statistics of features, as LeRobot keeps them for each episode and for the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy import ndarray

Statistics = Mapping[str, ndarray]  # by name; `count` has one number, the others the shape of a row

_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_WIDTH = 128  # pixels of a picture's longer side, about
FEWEST_PICTURES = 100  # of an episode that are looked at, or all of a shorter one


def of_numbers(values: Shaped[ndarray, "N F"]) -> Statistics:
    """Return the statistics of rows of numbers, with their count; each has F numbers, in float64."""
    rows = values.astype(np.float64)
    quantiles = np.quantile(rows, list(_QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
        **dict(zip(_QUANTILES, quantiles, strict=True)),
    }


def of_pictures(pictures: Sequence[UInt8[ndarray, "H W 3"]]) -> Statistics:
    """Return the statistics of each colour over all pixels, between 0 and 1, [3, 1, 1]; the count is of pictures."""
    found = dict(of_numbers(np.stack(pictures).reshape(-1, 3)))
    scaled = {name: (values / 255).reshape(3, 1, 1) for name, values in found.items() if name != "count"}
    return scaled | {"count": np.array([len(pictures)])}


def sampled(rows: int) -> set[int]:
    """Return which of an episode's pictures are looked at: all of a short one, and fewer of a long one, spread out."""
    count = max(min(rows, FEWEST_PICTURES), int(rows**0.75))
    return set(np.linspace(0, rows - 1, count).round().astype(int).tolist())


def thinned(picture: UInt8[ndarray, "H W 3"]) -> UInt8[ndarray, "h w 3"]:
    """Return every pixel of a small picture, and fewer of a large one: enough for statistics."""
    step = max(1, max(picture.shape[:2]) // _WIDTH)
    return picture[::step, ::step].copy()


def merged(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several episodes together; quantiles are means, weighted by the counts.

    Mean and standard deviation are exact: the variance of all is the mean of the variances plus that of the means.
    """
    counts = np.concatenate([each["count"] for each in parts])
    share = counts / counts.sum()

    def mean(values: Sequence[ndarray]) -> ndarray:
        return np.tensordot(share, np.stack(values), axes=1)

    centre = mean([each["mean"] for each in parts])
    variance = mean([each["std"] ** 2 + (each["mean"] - centre) ** 2 for each in parts])
    return {
        "min": np.min([each["min"] for each in parts], axis=0),
        "max": np.max([each["max"] for each in parts], axis=0),
        "mean": centre,
        "std": np.sqrt(variance),
        "count": np.array([counts.sum()]),
        **{name: mean([each[name] for each in parts]) for name in _QUANTILES},
    }
