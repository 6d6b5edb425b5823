"""Work of a traced program's matrix products in FLOP, and the rate of a plain product on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

SGEMM_SIZE = 2048  # large enough for the highest rate on a CPU


def gemm_flops(traced: Any) -> int:
    """FLOP of all matrix products in a jaxpr, as `jax.make_jaxpr` returns it, those of inner programs included.

    A product of `[..., M, K]` and `[..., K, N]` counts `2 M N K` for each entry of the batch, a `scan` its body times
    its length, and a `cond` its most expensive branch. Everything elementwise counts nothing.

    Raises:
      ValueError: a `while` loop with products, whose number of rounds the trace does not contain, or a convolution.
    """
    return sum(_flops(equation) for equation in getattr(traced, "jaxpr", traced).eqns)


def sgemm_gflops(size: int = 1536, seconds: float = 0.3) -> float:
    """The best rate of a float32 matrix product within `seconds`, in GFLOP/s."""
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.float32)
    product = jax.jit(lambda a, b: a @ b)
    product(matrix, matrix).block_until_ready()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def _flops(equation: Any) -> int:
    name, inner = equation.primitive.name, [gemm_flops(each) for each in _programs(equation.params)]
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    if name == "scan":
        return int(equation.params["length"]) * sum(inner)
    if name == "cond":
        return max(inner)
    if name == "conv_general_dilated" or (name == "while" and sum(inner)):
        raise ValueError(f"the matrix products of a {name} cannot be counted from its trace")
    return sum(inner)


def _programs(params: dict[str, Any]) -> Iterator[Any]:
    """Programs inside an operation: of a scan, a jit, a custom derivative and the like."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if hasattr(each, "eqns") or hasattr(each, "jaxpr"):
                yield each
