"""World model: encoder, predictor and heads as one module, and its architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from numpy import ndarray

from ..nets.belief import Belief, Foresight
from ..nets.decoder import Decoder
from ..nets.encoders.build import (
    PICTURE_ENCODERS,
    embedding,
    encoder_kinds,
    is_slow_in_loops,
    picture_encoders,
    projected,
)
from ..nets.encoders.history import HistoryEncoder
from ..nets.encoders.memory import MOST_MOMENTS, MOST_STRIDE
from ..nets.encoders.picture import pairs
from ..nets.filling import Filling, by_number
from ..nets.heads import GoalPolicy, InverseDynamics, PartialGoal, Probe, TemporalDistance
from ..nets.landmarks import Landmarks
from ..nets.latent_action import LatentActions
from ..nets.leaps import Leaps
from ..nets.predictors import EnsemblePredictor
from ..observation import Observation
from ..types import Prediction
from .architecture import (
    MOST,
    MOST_LAYERS,
    MOST_MEMBERS,
    Architecture,
    check_choice,
    check_count,
    check_observation,
    check_switch,
)

MOST_CODES = 64
MOST_SOLUTIONS = 64


@dataclass(frozen=True)
class ModelConfig(Architecture):
    """Architecture of `WorldModel`.

    `train_blocks` is the number of action blocks the rollout loss and the inverse dynamics span.
    """

    probe_size: int = 0  # 0: no probe head
    history: int = 2
    action_block: int = 3
    latent_size: int = 32
    width: int = 256  # of encoder and predictor
    head_width: int = 128
    depth: int = 2
    train_blocks: int = 5
    ensemble: int = 3  # members of the predictor
    policy: bool = True  # one-pass policy in addition to the planner
    decoder: bool = False  # for the reconstruction baseline
    pictures: str = "patches"  # encoder of each picture, where the observation has any
    steady: bool = False  # pictures are corrected for light, shifts of the camera and noise
    memory: int = 0  # older moments in one representation
    memory_stride: int = 2  # environment steps between two of them
    filling: bool = False  # answers what a missing sensor would read
    leap: int = 0  # action blocks in one step of the slower dynamics, for planning on two levels; 0: there are none
    leap_size: int = 6  # numbers that say which future a leap leads to
    landmarks: int = 0  # places of the data between which long ways are planned; 0: there are none
    goal_solutions: int = 1  # latents that a goal about some sensors becomes: of several, each one solves it
    belief: int = 0  # numbers in the belief about what is there now, seen or not; 0: there is none
    latent_action: int = 0  # numbers in a latent action for each component of an action; 0: there are no latent actions

    def __post_init__(self) -> None:
        # The critic learns from a predicted latent and the one after it, so a window has at least two blocks.
        none = ("probe_size", "memory", "latent_action", "leap", "belief", "landmarks")
        least = {"train_blocks": 2, **dict.fromkeys(none, 0)}
        most = {
            "depth": MOST_LAYERS,
            "ensemble": MOST_MEMBERS,
            "memory": MOST_MOMENTS,
            "memory_stride": MOST_STRIDE,
            "latent_action": MOST_CODES,
            "goal_solutions": MOST_SOLUTIONS,
        }
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "observation":
                check_observation(value)
            elif name in ("policy", "decoder", "filling", "steady"):
                check_switch(name, value)
            elif name == "pictures":
                check_choice(name, value, PICTURE_ENCODERS if value in PICTURE_ENCODERS else encoder_kinds())
            else:
                check_count(name, value, least.get(name, 1), most.get(name, MOST))

        if self.steady and not self.observation.pictures:
            raise ValueError("model.steady corrects pictures, and this model sees none: leave it out")
        if self.leap > self.train_blocks:
            raise ValueError(
                "model.leap must be at most model.train_blocks, since a leap is learned within a window; got "
                f"{self.leap} and {self.train_blocks}"
            )

    @property
    def past(self) -> tuple[int, int, int]:
        """See Architecture."""
        return self.history, self.memory, self.memory_stride

    @property
    def code_size(self) -> int:
        """U, the numbers in the latent action of one block; 0: there are no latent actions."""
        return self.latent_action * self.action_size

    @property
    def fewest_tensors(self) -> int:
        """Kernels, biases and norms of the predictor's members."""
        return 3 * self.depth * self.ensemble

    def create(self, seed: int) -> WorldModel:
        """Return a freshly initialised world model."""
        return WorldModel(self, nnx.Rngs(params=jax.random.fold_in(jax.random.key(seed), 0)))


class WorldModel(nnx.Module):
    """Joint-embedding predictive architecture: it predicts representations and never reconstructs its input."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs):
        self.lags = config.lags
        size, width, head_width, depth = config.latent_size, config.width, config.head_width, config.depth
        past = config.memory, config.memory_stride
        self.encoder = HistoryEncoder(
            config.observation, config.history, size, width, depth, rngs, config.pictures, *past
        )
        actions = config.action_size, config.action_block
        code_size = config.code_size
        self.predictor = EnsemblePredictor(
            size, *actions, width, depth, config.ensemble, rngs, code_size, map_width=head_width
        )
        span = config.train_blocks * config.action_block * config.action_size
        self.inverse = InverseDynamics(size, span, head_width, depth, rngs)
        self.distance_head = TemporalDistance(size, head_width, depth, rngs)
        self.policy_head = GoalPolicy(size, *actions, width, depth, rngs) if config.policy else None
        features = self.encoder.feature_size
        self.goal_head = PartialGoal(size, features, head_width, depth, rngs, config.goal_solutions)
        self.probe_head = Probe(size, config.probe_size, head_width, depth, rngs) if config.probe_size else None
        self.pictures = picture_encoders(config.observation, config.pictures, rngs, config.steady)
        # Last, so that the other modules have the same initial weights with it and without.
        self.decoder = Decoder(config.observation, self.pictures, size, width, depth, rngs) if config.decoder else None
        filled = config.observation, size, config.action_size, head_width, depth, rngs
        self.filling = Filling(*filled) if config.filling else None
        block_size = config.action_block * config.action_size
        latent_actions = (size, code_size, block_size, head_width, depth, rngs)
        self.latent_actions = LatentActions(*latent_actions) if code_size else None
        leaps = (size, config.leap_size, config.leap, head_width, depth, rngs)
        self.leaps = Leaps(*leaps) if config.leap else None
        beliefs = (self.encoder.moment_size, size, config.action_size, config.belief)
        self.belief = Belief(*beliefs, rngs) if config.belief else None
        self.landmarks = Landmarks(config.landmarks, size) if config.landmarks else None
        self.slow_in_loops = self.pictures is not None and is_slow_in_loops(config.pictures)

    def fit_scales(
        self,
        readings: Mapping[str, ndarray],
        last: Int[ndarray, "M"],
        actions: Float[ndarray, "N A"],
        low: Float[ndarray, "A"],
        high: Float[ndarray, "A"],
        probe_targets: Float[ndarray, "M Q"] | None = None,
    ) -> None:
        """Set the normalization statistics from the data, before training.

        Args:
          readings: of all moments by sensor, `[M, ...]` each, in raw units.
          last: row of the last moment of each one's episode.
          actions: the actions taken, in raw units.
          low: bounds of the actions.
          high: likewise.
          probe_targets: values that the probe learns to decode; None where the model has no probe.
        """
        self.encoder.fit(readings)
        if self.pictures is not None:
            for name, encoder in self.pictures.items():
                encoder.fit(*(np.asarray(readings[name][rows]) for rows in pairs(last)))
        self.predictor.normalizer.fit(actions)
        if self.policy_head is not None:
            self.policy_head.fit(low, high)
        if self.probe_head is not None and probe_targets is not None:
            self.probe_head.normalizer.fit(probe_targets)

    def embed(self, observation: Observation) -> Float[Array, "... E"]:
        """Embedding of one moment: raw readings of vectors, and the features of pictures."""
        return embedding(self.encoder.spec, self.pictures, observation)

    def project(self, pictures: Mapping[str, Array]) -> dict[str, Array]:
        """The part of pictures' embeddings that does not learn, by sensor: `embed` takes it in place of the pictures.

        Pictures whose encoder has no such part are left out.
        """
        return projected(self.pictures, pictures)

    def encode(self, embeddings: Float[Array, "... R E"]) -> Float[Array, "... D"]:
        """Representation of the moments at `lags`, the newest last: of these alone, or of all up to the oldest one."""
        return self.encoder(embeddings)

    def predict(self, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> Prediction:
        """Latent K environment steps later, if the actions of `block` are taken, predicted by the first member.

        If only `latent` has a leading axis of members, each member continues from its own latent.
        """
        return Prediction(self.predictor(latent, block))

    def goal(
        self, embedding: Float[Array, "... E"], mask: Bool[Array, "... E"]
    ) -> Float[Array, "... D"] | Float[Array, "... M D"]:
        """Representation of being at rest at a goal; of a model with several solutions, one of each.

        Args:
          embedding: of the goal; numbers outside the mask are ignored, but must be finite.
          mask: which of its numbers are part of the goal.
        """
        known = jnp.where(mask, embedding, 0.0)
        whole = self.encode(jnp.repeat(known[..., None, :], len(self.lags), axis=-2))
        found = self.goal_head(self.encoder.features(known), self.encoder.feature_mask(mask).astype(known.dtype))
        part = self.goal_head.likely(*found)
        goals = jnp.where(jnp.all(mask, axis=-1)[..., None, None], whole[..., None, :], part)
        return goals if goals.shape[-2] > 1 else goals[..., 0, :]

    def distance(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "..."]:
        """Environment steps from `latent` to `goal`."""
        return self.distance_head(latent, goal)

    def leap(self, latent: Float[Array, "... D"], choice: Float[Array, "... M"]) -> Float[Array, "... D"]:
        """Latent after one step of the slower dynamics, for a choice in standard deviations of what is possible."""
        assert self.leaps is not None
        return self.leaps(latent, choice)

    def foresee(self, embeddings: Float[Array, "B T E"], actions: Float[Array, "B U A"]) -> Foresight:
        """What the belief foresees at every moment of some sequences, how far it is off, and how far that is usual.

        Args:
          embeddings: of consecutive moments.
          actions: taken at all of them but the last, in raw units.
        """
        assert self.belief is not None
        return self.belief.foresight(self.encoder.moment(embeddings), self.predictor.normalizer(actions))

    def policy(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "... K A"]:
        """Return the next action block on the way from `latent` to `goal`, in raw units."""
        assert self.policy_head is not None
        return self.policy_head(latent, goal)

    def inverse_actions(self, latent: Float[Array, "... D"], later: Float[Array, "... D"]) -> Float[Array, "... M A"]:
        """Actions that led from `latent` to `later`, assuming they are as many blocks apart as in training."""
        flat = self.inverse(latent, later)
        normalizer = self.predictor.normalizer
        return normalizer.inverse(flat.reshape((*flat.shape[:-1], -1, normalizer.mean.shape[0])))

    def fill(
        self,
        latent: Float[Array, "... D"],
        previous: Float[Array, "... E"],
        action: Float[Array, "... A"],
        row: Float[Array, "... E"],
        known: Float[Array, "... S"],
        ages: Float[Array, "... S"],
    ) -> tuple[Float[Array, "... E"], Float[Array, "... E"], Float[Array, "... S"]]:
        """Return what every sensor would read, its standard deviation in the same units, and the trust in it, 0 to 1.

        Args:
          latent: of the moments before.
          previous: the embedding of the moment before.
          action: taken there, in raw units.
          row: the embedding of the moment; that of sensors which are not known is ignored.
          known: 1 for each sensor that was read, 0 for the others.
          ages: environment steps since each sensor was read.
        """
        assert self.filling is not None
        read = known > 0
        scaled = self.predictor.normalizer(action)
        mean, deviation = self.filling(latent, scaled, previous, row, by_number(self.encoder.spec, read))
        return mean, *self.filling.calibrated(deviation, read, ages)

    def probe(self, latent: Float[Array, "... D"]) -> Float[Array, "... Q"]:
        """Positions decoded from a latent, in the units of the probe targets."""
        assert self.probe_head is not None
        return self.probe_head(latent)


def create(config: ModelConfig, seed: int) -> WorldModel:
    """Return a freshly initialised world model."""
    return config.create(seed)
