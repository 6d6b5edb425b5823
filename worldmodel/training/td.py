"""Reward-driven objective: a representation that predicts future latents, rewards and returns.

TD-MPC2 (Hansen, Su & Wang, arXiv 2310.16828): predict the next representations (consistency), rewards, ends and
returns along a predicted path; and a policy that follows the critics. No observation is ever reconstructed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ..data.replay import Transitions
from ..losses.collapse import sigreg_loss
from ..losses.value import two_hot_loss
from ..models.reward_model import Critics, RewardModel
from ..observation import PRESENT, ObservationSpec
from ..types import Metrics
from .augmentation import kept_sensors, shifted_pictures, without


@dataclass(frozen=True)
class TdConfig:
    """Weights of the parts, as published except for termination."""

    consistency: float = 20.0
    reward: float = 0.1
    value: float = 0.1
    termination: float = 1.0
    sigreg: float = 0.0  # prevents collapse of a representation that is not trained on rewards or returns
    decay: float = 0.5  # rho: weight factor of each further predicted step
    discount: float = 0.99  # of one decision
    entropy: float = 1e-4  # of the policy, per action dimension
    horizon: int = 3  # H, imagined steps
    shift: int = 0  # pixels by which the pictures of a window move at most, at random
    dropout: float = 0.2  # share of the windows in which an optional sensor is left out

    def __post_init__(self) -> None:
        for name in ("decay", "discount"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"objective.{name} must lie in (0, 1]; got {getattr(self, name)}")
        for name in ("consistency", "reward", "value", "termination", "sigreg"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"objective.{name} must not be negative; got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"objective.dropout must lie in [0, 1); got {self.dropout}")
        if self.shift < 0:
            raise ValueError(f"objective.shift must not be negative; got {self.shift}")
        if self.horizon < 1:
            raise ValueError(f"objective.horizon must be at least 1; got {self.horizon}")


def td_loss(
    model: RewardModel,
    targets: Critics,
    batch: Transitions,
    key: PRNGKeyArray,
    config: TdConfig,
) -> tuple[Float[Array, ""], tuple[Metrics, Float[Array, "B D"]]]:
    """Return the model's loss, its parts, and the representations that the policy learns from. The key is consumed.

    Args:
      model: its policy is evaluated and does not learn here.
      targets: the slowly following copies of the critics.
      batch: windows of H steps.
      key: for the policy's draws.
      config: the weights.
    """
    limit = model.shape[3]
    encoded, after = _encoded(model, batch, key, config)
    first = model.simplices(encoded)
    actions = model.scale.share(batch.actions)
    target_returns = jax.lax.stop_gradient(_td_targets(model, targets, after, batch, key, config))

    def imagine(representation: Array, action: Array) -> tuple[Array, tuple[Array, ...]]:
        following, reward, end = model.foresee(representation, action)
        return following, (representation, following, reward, end)

    _, (before, following, reward, end) = jax.lax.scan(imagine, first, actions.transpose(1, 0, 2))
    returns = model.critics(before, actions.transpose(1, 0, 2))  # [C, H, B, K]

    horizon = config.horizon
    decay = jnp.asarray(config.decay, jnp.float32) ** jnp.arange(horizon, dtype=jnp.float32)
    weights = decay[:, None] * batch.valid.T.astype(jnp.float32) / (horizon * len(batch.rewards))  # [H, B]
    parts = {
        "consistency": jnp.mean(jnp.square(following - after.transpose(1, 0, 2)), axis=-1),
        "reward": two_hot_loss(reward, batch.rewards.T, limit),
        "value": jnp.mean(two_hot_loss(returns, jnp.broadcast_to(target_returns.T, returns.shape[:-1]), limit), axis=0),
    }
    if model.episodic:
        parts["termination"] = optax.sigmoid_binary_cross_entropy(end, batch.terminated.T.astype(jnp.float32))
    metrics = {name: jnp.sum(weights * part) for name, part in parts.items()}
    if config.sigreg:  # before the simplices, where a normal distribution is possible
        metrics["sigreg"] = sigreg_loss(encoded[None], jax.random.fold_in(key, 0))
    loss = sum((getattr(config, name) * part for name, part in metrics.items()), start=jnp.zeros((), jnp.float32))
    metrics |= {"return_target": jnp.mean(target_returns), "largest_target": jnp.max(jnp.abs(target_returns))}
    return loss, ({"loss": loss, **metrics}, jax.lax.stop_gradient(first))


def _encoded(
    model: RewardModel, batch: Transitions, key: PRNGKeyArray, config: TdConfig
) -> tuple[Float[Array, "B D"], Float[Array, "B H D"]]:
    """Encoder output at the start of each window, which learns, and the later representations, which do not.

    Every moment is embedded once. Only the first representation may lack sensors: it learns to be predicted from less.
    """
    spec, moments = model.encoder.spec, batch.observations.shape[1]
    history = moments - config.horizon
    if spec.is_vectors:
        embeddings = batch.observations
        present, later = embeddings[:, :history], embeddings[:, history:]
    else:
        shift_key, keep_key = jax.random.split(jax.random.fold_in(key, 1))
        pictures = shifted_pictures(batch.pictures, shift_key, config.shift)
        whole = moments_of(spec, batch.observations, pictures)
        present = model.embed({name: values[:, :history] for name, values in whole.items()})
        later = jax.lax.stop_gradient(model.embed({name: values[:, history:] for name, values in whole.items()}))
        embeddings = jnp.concatenate([jax.lax.stop_gradient(present), later], axis=1)
        if config.dropout and any(sensor.optional for sensor in spec.sensors):
            present = without(present, kept_sensors(spec, len(present), keep_key, config.dropout))
    stacks = [embeddings[:, begin : begin + history] for begin in range(1, config.horizon + 1)]
    after = jax.lax.stop_gradient(model.encode(jnp.stack(stacks, axis=1)))
    return model.encoded(present), after


def moments_of(spec: ObservationSpec, rows: Float[Array, "... V"], pictures: Mapping[str, Array]) -> dict[str, Array]:
    """Observations by sensor from the rows of vectors and the pictures of a replay, in which no picture is missing.

    Args:
      spec: the sensors.
      rows: of the vectors and their flags; no column where there are none.
      pictures: by sensor.
    """
    found = ObservationSpec(spec.vectors).tree(rows) if spec.vectors else {}
    for sensor in spec.pictures:
        found[sensor.name] = pictures[sensor.name]
        if sensor.optional:
            found[sensor.name + PRESENT] = jnp.ones((*rows.shape[:-1], 1), jnp.float32)
    return found


def policy_loss(
    model: RewardModel, seen: Float[Array, "B D"], spread: Float[Array, ""], key: PRNGKeyArray, config: TdConfig
) -> tuple[Float[Array, ""], tuple[Metrics, Float[Array, ""]]]:
    """Return the policy's loss, the critics' values of its sampled actions in units of `spread`, and their spread.

    It learns only where windows begin, not along the predicted path, which would cost three times as much
    for nearly the same representations. The spread is the range from the 5th to the 95th percentile, of which the
    caller keeps a moving average.

    Args:
      model: with the policy that learns and the critics that judge.
      seen: latents at which windows begin.
      spread: moving average of the spread, which the critics' values are divided by.
      key: consumed.
      config: weights of the losses.
    """
    actions, log_prob = model.act(seen, key)
    returns = jnp.mean(model.decoded(model.critics(seen, actions)), axis=0)  # [B]
    entropy = -actions.shape[-1] * log_prob
    loss = -jnp.mean(returns / jnp.maximum(spread, 1.0) + config.entropy * entropy)
    low, high = jnp.percentile(jax.lax.stop_gradient(returns), jnp.array([5.0, 95.0]))
    return loss, ({"policy": loss, "entropy": jnp.mean(-log_prob)}, high - low)


def _td_targets(
    model: RewardModel,
    targets: Critics,
    after: Float[Array, "B H D"],
    batch: Transitions,
    key: PRNGKeyArray,
    config: TdConfig,
) -> Float[Array, "B H"]:
    """Reward plus discounted return of the policy's next action, by the smaller of two target critics."""
    action_key, pair_key = jax.random.split(key)
    actions, _ = model.act(after, action_key)
    returns = model.decoded(targets(after, actions))
    pair = jax.random.choice(pair_key, len(returns), (2,), replace=False)
    least = jnp.min(returns[pair], axis=0)
    return batch.rewards + config.discount * (1.0 - batch.terminated.astype(jnp.float32)) * least
