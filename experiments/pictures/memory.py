"""A few hundred frames of the training data with their latents, in an optional file beside a model or its bundle.

Nothing that plans reads it. People see in it what a latent stands for, without a decoder: the nearest remembered frame.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from worldmodel.data.episodes import EpisodeData
from worldmodel.files import write_atomically
from worldmodel.observation import PRESENT, ObservationSpec

from ..build.embeddings import embedded
from .appearance import Appearance
from .png import decoded, encoded

FRAMES = 256  # that are remembered
SAMPLE = 2_000  # frames that a camera's appearance is measured on
SUFFIX = ".memory.safetensors"
_KEY, _KIND, _FORMAT = "jepa-mpc", "memory", 1


@jax.jit
def _encode(model: Any, stacks: Any) -> Any:
    return model.encode(model.params, stacks)


@dataclass(frozen=True, eq=False)
class Memory:
    """Remembered frames `[N, h, w, 3]` of each camera, the latents of these moments, and the cameras' appearances."""

    latents: Float[ndarray, "N D"]
    frames: dict[str, UInt8[ndarray, "N h w 3"]]
    appearances: dict[str, Appearance]

    @classmethod
    def of(cls, model: Any, data: EpisodeData) -> Memory:
        """Choose moments evenly from the data that a model with pictures was trained on, where no picture is missing.

        Args:
          model: frozen.
          data: with pictures.
        """
        cameras = [sensor.name for sensor in data.spec.pictures]
        present = np.ones(data.rows, bool)
        for name in cameras:
            if name + PRESENT in data.readings:
                present &= np.asarray(data.readings[name + PRESENT])[:, 0] > 0
        usable = np.flatnonzero(present) if present.any() else np.arange(data.rows)
        chosen = usable[np.unique(np.linspace(0, len(usable) - 1, FRAMES).astype(int))]
        past = chosen[:, None] - np.asarray(model.lags)
        flat = np.maximum(past, data.first[chosen][:, None]).ravel()  # at an episode's start the first moment repeats
        rows = embedded(model, {name: np.asarray(values[flat]) for name, values in data.readings.items()})
        latents = np.asarray(_encode(model, rows.reshape((*past.shape, -1))))
        sample = usable[:: max(1, len(usable) // SAMPLE)]
        return cls(
            latents,
            {name: np.asarray(data.readings[name][chosen]) for name in cameras},
            {name: Appearance.of(np.asarray(data.readings[name][sample])) for name in cameras},
        )

    def nearest(self, latent: Float[ndarray, "D"]) -> int:
        """Return the number of the remembered moment whose latent is nearest."""
        return int(np.argmin(np.square(self.latents - latent).sum(axis=-1)))

    def save(self, path: Path) -> None:
        """Write the file: frames as one PNG a camera, without loss."""
        tensors = {"latents": self.latents.astype(np.float32)}
        for name, frames in self.frames.items():
            look, sheet = self.appearances[name], frames.reshape((-1, *frames.shape[2:]))
            tensors[f"frames/{name}"] = np.frombuffer(encoded(sheet), np.uint8)
            parts = {"low": look.low, "high": look.high, "colours": look.colours, "moving": look.moving}
            tensors |= {f"{part}/{name}": values for part, values in parts.items()}
        header = {_KEY: json.dumps({"kind": _KIND, "format": _FORMAT, "cameras": list(self.frames)})}
        write_atomically(path, serialise(tensors, metadata=header))

    @classmethod
    def load(cls, path: Path, spec: ObservationSpec, latent_size: int) -> Memory:
        """Read the memory of a model with these sensors and latents of this size.

        Raises:
          ValueError: it is damaged, of another version, or of another model.
        """
        content = path.read_bytes()
        fix = "remove it, or take the one that was written with the model"
        try:
            tensors = parse(content)
            length = int.from_bytes(content[:8], "little")
            header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
            if (header["kind"], header["format"]) != (_KIND, _FORMAT):
                raise ValueError(f"{header['kind']} of format {header['format']}")
            latents = tensors["latents"]
            frames, appearances = {}, {}
            for name in map(str, header["cameras"]):
                low = tensors[f"low/{name}"]
                frames[name] = decoded(tensors[f"frames/{name}"].tobytes()).reshape((len(latents), *low.shape))
                parts = [tensors[f"{part}/{name}"] for part in ("low", "high", "colours", "moving")]
                appearances[name] = Appearance(*parts)
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise ValueError(
                f"{path} is not a model's memory that this version reads ({error!s:.80}): {fix}"
            ) from error
        shapes = {name: each.shape[1:] for name, each in frames.items()}
        if shapes != {each.name: each.shape for each in spec.pictures} or latents.shape[1] != latent_size:
            raise ValueError(f"{path} is the memory of a model with other cameras or latents: {fix}")
        return cls(latents, frames, appearances)


def memory_file(model: str | Path) -> Path:
    """Path of the memory that belongs to a model file or a bundle: beside it, with the same name."""
    return Path(model).with_suffix(SUFFIX)


def load_memory(model: str | Path, spec: ObservationSpec, latent_size: int) -> Memory | None:
    """Read the memory beside a model file or a bundle; None where there is none.

    Raises:
      ValueError: as `Memory.load`.
    """
    path = memory_file(model)
    return Memory.load(path, spec, latent_size) if path.is_file() else None


def copy_memory(model: Path, other: Path) -> None:
    """Copy the memory of a model to another file made from it, where there is one and it is not there already."""
    source, target = memory_file(model), memory_file(other)
    if source.is_file() and source.resolve() != target.resolve():
        shutil.copyfile(source, target)
