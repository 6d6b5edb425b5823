"""Cards of the datasets: what is in them and how to use them, as Markdown beside the data."""

from __future__ import annotations

from collections.abc import Sequence

from .course import FRAME_SECONDS, FRAMES
from .properties import CASES, PROPERTIES

_COMMON = """
| what | where | shape and type |
|---|---|---|
| pictures of a fixed side camera | `observations["pixels"]` | `[{frames}, {size}, {size}, 3]` uint8 |
| velocity that is asked of the pusher, between two pictures | `actions` | `[{steps}, 1]` float32, -1 to 1 |
| state and scene | `infos["state"]` | `[{frames}, S]` float64; their names are in the metadata, `task`, `state_names` |
{labels}
{seconds:g} s lie between two pictures. The data are Minari's (HDF5, no compression with loss):

```python
import minari

dataset = minari.MinariDataset("DATASET")
for episode in dataset.iterate_episodes():
    episode.observations["pixels"], episode.actions, episode.infos
```

Simulated with MuJoCo by `jepa-mpc` (Apache-2.0). A clip follows from seed and number alone. Gravity is 3 m/s², so
that a fall takes many pictures; the world has two bodies at most, one camera, plain colours and no noise. Nothing in it
is a photograph, and no person is in it.
"""


def training_card(seed: int, clips: int, size: int) -> str:
    """Card of clips to learn from.

    Args:
      seed: of the clips.
      clips: number of them.
      size: of the pictures.
    """
    lead = f"""# Possible clips

{clips} clips of {FRAMES} pictures in which nothing impossible happens: bodies glide, fall, collide, are pushed, stand
still; a screen rises and falls in front of them. Seven tenths come from the worlds of the test, with other starts; the
others are free play. Seed {seed}; none of the clips is in a test set of any seed.
"""
    return lead + _table(size, "")


def test_card(seed: int, pairs: int, cases: Sequence[tuple[str, str]], size: int) -> str:
    """Card of labelled clips to test with.

    Args:
      seed: of the clips.
      pairs: of each case.
      cases: properties and visibilities.
      size: of the pictures.
    """
    listed = "\n".join(f"| {CASES.index(case)} | {case[0]} | {case[1]} |" for case in cases)
    reasons = {name: each.why for name, each in PROPERTIES.items() if each.why}
    hidden = "\n".join(f"- `{name}` is not tested occluded: {why}." for name, why in reasons.items())
    lead = f"""# Possible and impossible clips

{pairs} pairs of each property and visibility, as quadruplets: two possible clips, and two that begin as one and end as
the other. Every ending is possible once and impossible once. Seed {seed}. To be surprised by the impossible clip of a
pair more than by the possible one is right; guessing is right in half of the pairs. For tests only: a model that learns
from these clips has seen the impossible.

| case | property | visibility |
|---|---|---|
{listed}

{hidden}
"""
    labels = """| row of the table above | `infos["case"]` | the same number at every moment, as all labels |
| 1 possible, 0 impossible | `infos["possible"]` | |
| picture from which on the twins differ | `infos["event"]` | |
| quadruplet, and pair, of the case | `infos["quadruplet"]`, `infos["pair"]` | |
"""
    return lead + _table(size, labels)


def _table(size: int, labels: str) -> str:
    return _COMMON.format(frames=FRAMES, steps=FRAMES - 1, size=size, seconds=FRAME_SECONDS, labels=labels)
