"""Encoders of pictures by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ...observation import PRESENT, Observation, ObservationSpec
from ...plugins import Plugins
from .components import ComponentEncoder
from .convolution import ConvolutionEncoder
from .motion import MotionEncoder, TwiceFilteredEncoder
from .patches import PER_PATCH, PatchEncoder, patch_count
from .stacks import ChangeStack, PatchStack
from .transformer import TransformerEncoder

PICTURE_ENCODERS: dict[str, Any] = {
    "patches": PatchEncoder,
    "components": ComponentEncoder,
    "motion": MotionEncoder,
    "motion_twice": TwiceFilteredEncoder,
    "transformer": TransformerEncoder,
    "convolution": ConvolutionEncoder,
}
OF_MOTION = ("motion", "motion_twice")  # where most patches show nearly nothing, and are to stay small
BY_PATCH = ("patches", "components", *OF_MOTION)  # whose features are those of the patches, one after the other
WHOLE_FEATURES = 64  # of the others, unless `features` says otherwise
INSTALLED = Plugins("encoder", tuple(PICTURE_ENCODERS))  # encoders of other packages: of pictures as a whole
SLOW_IN_LOOPS = ("convolution",)  # XLA's convolutions on a processor run many times slower inside `lax.scan`


def encoder_kinds() -> tuple[str, ...]:
    """Names of the encoders: our own, and those of installed packages, which are not imported for it."""
    return (*PICTURE_ENCODERS, *INSTALLED.names())


def encoder_class(kind: str) -> Any:
    """The class of the encoders of a kind, called with `(shape, features, rngs=rngs)`.

    Raises:
      ValueError: a package's encoder that cannot be imported, or that takes the name of one of our own.
    """
    INSTALLED.check(kind)
    return PICTURE_ENCODERS[kind] if kind in PICTURE_ENCODERS else INSTALLED.load(kind)


def is_slow_in_loops(kind: str) -> bool:
    """Whether encoders of a kind run many times slower inside `lax.scan` on a processor than outside."""
    return kind in SLOW_IN_LOOPS or bool(getattr(encoder_class(kind), "slow_in_loops", False))


def sized(spec: ObservationSpec, kind: str, features: int | None) -> ObservationSpec:
    """Return the sensors with the size of each picture's embedding.

    Args:
      spec: the sensors.
      kind: of the encoders.
      features: of each picture; None: the default of the kind.
    """

    def size(shape: tuple[int, ...]) -> int:
        if features is not None:
            return features
        return PER_PATCH * patch_count((shape[0], shape[1], 0)) if kind in BY_PATCH else WHOLE_FEATURES

    return ObservationSpec(
        tuple(each if each.is_vector else replace(each, features=size(each.shape)) for each in spec.sensors)
    )


def picture_encoders(spec: ObservationSpec, kind: str, rngs: nnx.Rngs, steady: bool = False) -> Any:
    """Return an encoder for each picture among the sensors, by name; None where there is none.

    Args:
      spec: the sensors.
      kind: of the encoders.
      rngs: of the initial weights.
      steady: whether pictures are corrected for light, shifts of the camera and noise.

    Raises:
      ValueError: a sensor that is neither a vector nor a picture, or whose features are not known; an encoder of
        another package that is to correct pictures.
    """
    if not spec.pictures:
        return None
    for sensor in spec.pictures:
        if len(sensor.shape) != 3 or sensor.dtype != "uint8":
            raise ValueError(
                f"the sensor {sensor.name} reads {sensor.dtype}{list(sensor.shape)}, and there are encoders for "
                "float32 vectors and uint8 pictures [height, width, channels] alone: leave the sensor out"
            )
        if sensor.features < 1:
            raise ValueError(f"the picture {sensor.name} needs features, the size of its embedding; got 0")
    if steady and kind not in PICTURE_ENCODERS:
        raise ValueError(
            f"model.steady belongs to our own encoders, and {kind} is another package's: leave it out, or choose "
            f"{' or '.join(PICTURE_ENCODERS)}"
        )
    encoder, extra = encoder_class(kind), {"steady": True} if steady else {}
    return nnx.Dict({each.name: encoder(each.shape, each.features, rngs=rngs, **extra) for each in spec.pictures})


def picture_stacks(spec: ObservationSpec, kind: str, history: int, rngs: nnx.Rngs) -> Any:
    """Return the network over several moments for each picture among the sensors, by name; None where there is none.

    Args:
      spec: the sensors.
      kind: of the encoders.
      history: moments, P.
      rngs: of the initial weights.

    Raises:
      ValueError: the embeddings do not have the same size for each patch.
    """
    if not spec.pictures:
        return None
    stacks: dict[str, Any] = {}
    for sensor in spec.pictures:
        height, width, channels = sensor.shape
        if kind in BY_PATCH:
            stacks[sensor.name] = PatchStack(
                (height, width, channels), sensor.features, history, rngs, together=kind in OF_MOTION
            )
        else:
            stacks[sensor.name] = ChangeStack(sensor.features, history)
    return nnx.Dict(stacks)


def embedding(spec: ObservationSpec, encoders: Any, observation: Observation) -> Float[Array, "... E"]:
    """Embedding of one moment: raw readings of vectors, and the features of pictures.

    Args:
      spec: the sensors.
      encoders: of its pictures, by name; None where there are none.
      observation: readings by sensor.
    """
    if encoders is None:
        return spec.row(observation)
    features = {name: encoder(observation[name]) for name, encoder in encoders.items()}
    for sensor in spec.pictures:
        if sensor.optional:  # the features of a missing picture are zero
            present = observation[sensor.name + PRESENT].astype(jnp.float32)
            features[sensor.name] = features[sensor.name] * present
    return spec.row({**observation, **features})


def projected(encoders: Any, pictures: Mapping[str, Array]) -> dict[str, Array]:
    """The part of pictures' features that does not learn, by sensor: encoders take it in place of the pictures.

    Pictures whose encoder has no such part are left out.

    Args:
      encoders: of the pictures, by name; None where there are none.
      pictures: by sensor.
    """
    found = {} if encoders is None else dict(encoders.items())
    return {
        name: encoder.project(pictures[name])
        for name, encoder in found.items()
        if isinstance(encoder, ComponentEncoder)
    }
