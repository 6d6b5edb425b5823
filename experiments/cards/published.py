"""The cards of the published checkpoints, from their files and their rows: `python -m experiments.cards.published`."""

from __future__ import annotations

from pathlib import Path

from worldmodel.files import write_atomically

from ..build.published import FOLDER
from .card import card_file, made, text

RESULTS = FOLDER.parent / "results" / "published.csv"


def cards() -> dict[Path, str]:
    """Texts of the cards, by their files."""
    models = sorted(FOLDER.glob("*.safetensors"))
    return {card_file(model): made(model, [RESULTS], text(card_file(model))) for model in models}


if __name__ == "__main__":
    for path, words in cards().items():
        write_atomically(path, words)
