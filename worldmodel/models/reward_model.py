"""World model for rewards: encoder, dynamics with reward head, critics and policy on one representation.

It has no decoder: like the reward-free model it predicts representations, here ones that also predict reward and return
(Hansen et al., TD-MPC2, arXiv 2310.16828). Representations are groups of probabilities, which neither grow nor vanish.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from numpy import ndarray

from ..nets.bins import decoded
from ..nets.encoders.build import PICTURE_ENCODERS, embedding, encoder_kinds, is_slow_in_loops, picture_encoders
from ..nets.encoders.memory import MOST_MOMENTS, MOST_STRIDE
from ..nets.encoders.symlog import SymlogEncoder
from ..nets.layers import MLP
from ..nets.normalization import Statistic
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
    check_positive,
    check_switch,
)

LOG_STD = (-10.0, 2.0)  # range of the policy's log standard deviation


@dataclass(frozen=True)
class RewardModelConfig(Architecture):
    """Architecture of `RewardModel`."""

    representation_size: int = 128
    simplex: int = 8  # numbers in a group that sums to 1
    width: int = 256  # of the dynamics
    encoder_width: int = 256
    critic_width: int = 128
    policy_width: int = 128
    depth: int = 2
    critics: int = 2
    bins: int = 51
    bin_limit: float = 7.0  # in symlog units: returns up to about 1,100
    episodic: bool = False  # whether episodes may terminate, so that the model predicts it
    history: int = 1  # P, observations in one representation
    pictures: str = "patches"  # encoder of each picture, where the observation has any
    memory: int = 0  # older moments in one representation
    memory_stride: int = 2  # environment steps between two of them

    def __post_init__(self) -> None:
        least = {"critics": 2, "bins": 2, "memory": 0}
        most = {"depth": MOST_LAYERS, "critics": MOST_MEMBERS, "memory": MOST_MOMENTS, "memory_stride": MOST_STRIDE}
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "observation":
                check_observation(value)
            elif name == "episodic":
                check_switch(name, value)
            elif name == "pictures":
                check_choice(name, value, PICTURE_ENCODERS if value in PICTURE_ENCODERS else encoder_kinds())
            elif name == "bin_limit":
                check_positive(name, value)
            else:
                check_count(name, value, least.get(name, 1), most.get(name, MOST))
        if self.representation_size % self.simplex:
            raise ValueError(
                f"model.simplex ({self.simplex}) must divide model.representation_size ({self.representation_size})"
            )

    @property
    def past(self) -> tuple[int, int, int]:
        """See Architecture."""
        return self.history, self.memory, self.memory_stride

    @property
    def fewest_tensors(self) -> int:
        """Kernels, biases and norms of the critics."""
        return 3 * self.depth * self.critics

    @property
    def latent_size(self) -> int:
        """D, the size of a latent."""
        return self.representation_size

    def create(self, seed: int) -> RewardModel:
        """Return a freshly initialised model."""
        return RewardModel(self, nnx.Rngs(params=jax.random.fold_in(jax.random.key(seed), 0)))


class ActionScale(nnx.Module):
    """Conversion between actions in raw units and actions in [-1, 1]."""

    def __init__(self, size: int):
        self.low = Statistic(-jnp.ones((size,), jnp.float32))
        self.high = Statistic(jnp.ones((size,), jnp.float32))

    def fit(self, low: Float[ndarray, "A"], high: Float[ndarray, "A"]) -> None:
        """Set the bounds, in raw units."""
        self.low[...] = jnp.asarray(low, jnp.float32)
        self.high[...] = jnp.asarray(high, jnp.float32)

    def share(self, actions: Float[Array, "... A"]) -> Float[Array, "... A"]:
        """Convert from raw units to [-1, 1]; a locked action is 0."""
        middle, half = self._shaped(actions.ndim)
        return (actions - middle) / jnp.where(half > 0, half, 1.0)

    def raw(self, share: Float[Array, "... A"]) -> Float[Array, "... A"]:
        """Convert from [-1, 1] to raw units."""
        middle, half = self._shaped(share.ndim)
        return middle + half * share

    def _shaped(self, rank: int) -> tuple[Array, Array]:
        shape = (1,) * (rank - 1) + (-1,)
        low, high = self.low[...].reshape(shape), self.high[...].reshape(shape)
        return (low + high) / 2, (high - low) / 2


class Critics(nnx.Module):
    """Ensemble of critics: discounted return of a representation and an action, as logits over bins."""

    def __init__(self, config: RewardModelConfig, rngs: nnx.Rngs):
        sizes = (config.representation_size, config.action_size)
        members = range(config.critics)
        width, depth = config.critic_width, config.depth
        self.members = nnx.List([MLP(sizes, config.bins, width, depth, rngs, zero_output=True) for _ in members])

    def __call__(self, representation: Float[Array, "... D"], action: Float[Array, "... A"]) -> Float[Array, "C ... K"]:
        """Return each member's logits of the discounted return."""
        return jnp.stack([member(representation, action) for member in self.members])


class RewardModel(nnx.Module):
    """Modules of the reward model, and the functions that the objective calls. Actions are in [-1, 1] here."""

    def __init__(self, config: RewardModelConfig, rngs: nnx.Rngs):
        size, action = config.representation_size, config.action_size
        self.shape = (size, config.simplex, config.bins, config.bin_limit)
        self.episodic, self.lags = config.episodic, config.lags
        self.scale = ActionScale(action)
        history, width, past = config.history, config.encoder_width, (config.memory, config.memory_stride)
        self.encoder = SymlogEncoder(
            config.observation, history, size, width, config.depth, rngs, config.pictures, *past
        )
        # One trunk predicts the next representation, the reward, and whether the episode continues.
        self.dynamics = MLP((size, action), size + config.bins + 1, config.width, config.depth, rngs)
        kernel = self.dynamics.output.kernel
        kernel[...] = kernel[...].at[:, size:].set(0.0)
        self.critics = Critics(config, rngs)
        self.actor = MLP(size, 2 * action, config.policy_width, config.depth, rngs)
        self.pictures = picture_encoders(config.observation, config.pictures, rngs)
        self.slow_in_loops = self.pictures is not None and is_slow_in_loops(config.pictures)

    def fit_pictures(
        self, pictures: Mapping[str, UInt8[ndarray, "M H W C"]], later: Mapping[str, UInt8[ndarray, "M H W C"]]
    ) -> None:
        """Set what picture encoders measure before they learn, such as the mean picture.

        Args:
          pictures: a sample, by sensor.
          later: what the same cameras show `APART` environment steps later.
        """
        for name, encoder in {} if self.pictures is None else dict(self.pictures.items()).items():
            encoder.fit(pictures[name], later[name])

    def embed(self, observation: Observation) -> Float[Array, "... E"]:
        """Embedding of one moment: raw readings of vectors, and the features of pictures."""
        return embedding(self.encoder.spec, self.pictures, observation)

    def encoded(self, embeddings: Float[Array, "... R E"]) -> Float[Array, "... D"]:
        """Encoder output for the moments at `lags`, before `simplices` turns it into the representation."""
        return self.encoder(embeddings)

    def foresee(
        self, representation: Float[Array, "... D"], action: Float[Array, "... A"]
    ) -> tuple[Float[Array, "... D"], Float[Array, "... K"], Float[Array, "..."]]:
        """Next representation, logits of the reward, and the logit of termination."""
        size, _, bins, _ = self.shape
        out = self.dynamics(representation, action)
        return self.simplices(out[..., :size]), out[..., size : size + bins], out[..., size + bins]

    def act(
        self, representation: Float[Array, "... D"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        """Action sampled from the policy, a squashed Gaussian, and its log-probability."""
        mean, log_std = self._gaussian(representation)
        noise = jax.random.normal(key, mean.shape)
        drawn = mean + jnp.exp(log_std) * noise
        log_prob = -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)
        # log(1 - tanh(x)^2), which is exact where tanh rounds to 1
        squashing = 2 * (jnp.log(2.0) - drawn - jax.nn.softplus(-2 * drawn))
        return jnp.tanh(drawn), jnp.sum(log_prob - squashing, axis=-1)

    def decoded(self, logits: Float[Array, "... K"]) -> Float[Array, "..."]:
        """Expected value of logits over bins."""
        return decoded(logits, self.shape[3])

    # For planners: actions in raw units.

    def encode(self, embeddings: Float[Array, "... R E"]) -> Float[Array, "... D"]:
        """Return the latent of the moments at `lags`, the newest last: of these alone, or of all up to the oldest."""
        return self.simplices(self.encoded(embeddings))

    def predict(self, latent: Float[Array, "... D"], block: Float[Array, "... 1 A"]) -> Prediction:
        """Latent after an action, the reward, and for episodic tasks the probability that the episode continues."""
        after, reward, end = self.foresee(latent, self.scale.share(block[..., 0, :]))
        return Prediction(after, self.decoded(reward), jax.nn.sigmoid(-end) if self.episodic else None)

    def value(self, latent: Float[Array, "... D"]) -> Float[Array, "..."]:
        """Discounted return of the policy's mean actions from `latent` on, averaged over the critics."""
        action = jnp.tanh(self._gaussian(latent)[0])
        return jnp.mean(self.decoded(self.critics(latent, action)), axis=0)

    def policy(self, latent: Float[Array, "... D"], goal: Float[Array, "... D"]) -> Float[Array, "... 1 A"]:
        """Mean action of the policy, in raw units; independent of any goal."""
        return self.scale.raw(jnp.tanh(self._gaussian(latent)[0]))[..., None, :]

    def _gaussian(self, representation: Float[Array, "... D"]) -> tuple[Array, Array]:
        mean, log_std = jnp.split(self.actor(representation), 2, axis=-1)
        low, high = LOG_STD
        return mean, low + 0.5 * (high - low) * (jnp.tanh(log_std) + 1.0)

    def simplices(self, values: Float[Array, "... D"]) -> Float[Array, "... D"]:
        """Softmax within groups (simplicial normalisation, Lavoie et al., arXiv 2204.00616)."""
        groups = values.reshape((*values.shape[:-1], -1, self.shape[1]))
        return jax.nn.softmax(groups, axis=-1).reshape(values.shape)
