"""What a training without some actions knows about the recorded ones: how many there are, and which contradict."""

from __future__ import annotations

import logging
from pathlib import Path

from worldmodel.data.episodes import EpisodeData
from worldmodel.diagnostics.labels import label_agreement
from worldmodel.models.checkpoint import Checkpoint
from worldmodel.training.encoded import LatentSampler
from worldmodel.training.trainer import Trainer, TrainState

from ..build.recipes import VIDEO

logger = logging.getLogger(__name__)

_NAMED = 5  # episodes in one message


def warn_of_no_labels(data: EpisodeData, source: Path | str) -> None:
    """Log that a model without a single recorded action cannot plan, before it is trained."""
    if not data.labelled_steps:
        logger.warning(
            "%s holds no recorded action: the model learns to see, and what can follow, and cannot plan; record the "
            "actions of a few episodes, and train on both together",
            source,
        )


def check_labels(trainer: Trainer, state: TrainState, data: EpisodeData, source: Path | str) -> dict[str, float]:
    """Log the episodes whose recorded actions contradict what they show, and return figures of the labels.

    Args:
      trainer: of the model.
      state: at the end of the training.
      data: the episodes.
      source: where they are from, for the message.
    """
    model = trainer.model(state)
    figures = {"labelled_share": data.labelled_steps / data.steps}
    if model.latent_actions is None:
        return {} if data.is_labelled else figures
    sampler = trainer.devices.local(trainer.batches("frozen", state))
    assert isinstance(sampler, LatentSampler)
    found = label_agreement(model, sampler.windows, sampler.latents)
    if doubtful := found.doubtful:
        worst = dict(zip(found.episodes.tolist(), found.explained.tolist(), strict=True))
        named = ", ".join(f"{data.name(each)} ({worst[each]:.0%})" for each in doubtful[:_NAMED])
        logger.warning(
            "%s: recorded actions contradict what is seen in %d of %d episodes: %s%s, by the share of them that can be "
            "told from it, and %.0f %% in the median; see whether log and video belong together and begin together, or "
            "leave those actions out",
            source,
            len(doubtful),
            len(found.episodes),
            named,
            " and others" if len(doubtful) > _NAMED else "",
            100 * found.median,
        )
    if len(found.episodes):
        figures |= {"label_agreement": found.median, "doubtful_episodes": float(len(doubtful))}
    return figures


def require_labels_learned(checkpoint: Checkpoint, path: Path | str) -> None:
    """Raise ValueError where a model learned from no recorded action, and so cannot plan."""
    if checkpoint.metadata.get("labelled_steps", 1) == 0:
        raise ValueError(
            f"{path} learned from no recorded action, and does not know what actions do: train it by method={VIDEO} on "
            "data in which the actions of some episodes are recorded"
        )
