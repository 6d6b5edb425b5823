"""Multilayer perceptron, the building block of encoder, predictor and heads."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class MLP(nnx.Module):
    """`depth` hidden layers of `width` with RMSNorm and SiLU, then a linear layer.

    Several inputs are joined at the first layer, each with its own weights, and broadcast against one another: a goal
    that all candidates share is multiplied once, not once per candidate.

    Args:
      in_sizes: of each input.
      out_size: of the output.
      width: of the hidden layers.
      depth: number of hidden layers.
      rngs: of the initial weights.
      zero_output: whether the output layer starts at zero.
    """

    def __init__(
        self,
        in_sizes: int | tuple[int, ...],
        out_size: int,
        width: int,
        depth: int,
        rngs: nnx.Rngs,
        zero_output: bool = False,
    ):
        sizes = (in_sizes,) if isinstance(in_sizes, int) else in_sizes
        # Each input keeps the variance that a single joint layer would give it.
        self.inputs = nnx.List(
            [
                nnx.Linear(
                    size,
                    width,
                    use_bias=index == 0,
                    kernel_init=nnx.initializers.variance_scaling(size / sum(sizes), "fan_in", "truncated_normal"),
                    rngs=rngs,
                )
                for index, size in enumerate(sizes)
            ]
        )
        self.hidden = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in range(depth - 1)])
        self.norms = nnx.List([nnx.RMSNorm(width, rngs=rngs) for _ in range(depth)])
        kernel_init = nnx.initializers.zeros if zero_output else nnx.initializers.lecun_normal()
        self.output = nnx.Linear(width, out_size, kernel_init=kernel_init, rngs=rngs)

    def __call__(self, *inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Apply to one input per size in `in_sizes`, features last, leading dimensions broadcast: `[..., out_size]`."""
        parts = [layer(value) for layer, value in zip(self.inputs, inputs, strict=True)]
        rank = max(part.ndim for part in parts)
        parts = [part.reshape((1,) * (rank - part.ndim) + part.shape) for part in parts]
        hidden = sum(parts[1:], start=parts[0])
        hidden = jax.nn.silu(self.norms[0](hidden))
        for layer, norm in zip(self.hidden, list(self.norms)[1:], strict=True):
            hidden = jax.nn.silu(norm(layer(hidden)))
        return self.output(jnp.asarray(hidden))
