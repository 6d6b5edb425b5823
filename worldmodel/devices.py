"""Devices that share each batch of a training, on one host or on several.

The batch is split over the devices; parameters, optimizer state and data are on every one of them. The compiled program
is that of one device, on arrays that are split, so what looks at the batch looks at the whole of it: SIGReg, goals of
other windows, means, the norm of a gradient. All processes run it from the same seed and the same data. The windows of
an update follow from its index, so every process knows all of them, and gathers only the pictures of its own part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int
from numpy import ndarray

_AXIS = "batch"
T = TypeVar("T")


@final
@dataclass(frozen=True)
class Devices:
    """Devices with a part of each batch each. A single one has no mesh: nothing is split, moved or copied."""

    mesh: Mesh | None = None

    @classmethod
    def of(cls, count: int | None = None) -> Devices:
        """Return the first devices of every process.

        Args:
          count: devices of each process; None: all.

        Raises:
          ValueError: a process has fewer.
        """
        found = list[jax.Device]()
        for process in range(jax.process_count()):
            own = [device for device in jax.devices() if device.process_index == process]
            if count is not None and count > len(own):
                raise ValueError(
                    f"devices={count} asks for more devices than the {len(own)} that there are: ask for fewer, or give "
                    "devices=null for all of them"
                )
            found += own[:count]
        return cls() if len(found) == 1 else cls(Mesh(np.asarray(found), (_AXIS,), axis_types=(AxisType.Auto,)))

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that batches can be split evenly.

        Args:
          sizes: of the batches, by the name of the setting.

        Raises:
          ValueError: one is no multiple of the number of devices.
        """
        count = 1 if self.mesh is None else int(self.mesh.size)
        for name, size in sizes.items():
            if size % count:
                raise ValueError(
                    f"{name} must be a multiple of the {count} devices that share each batch; got {size}: take "
                    f"{-(-size // count) * count}, or another number of devices"
                )

    def compiled(self, function: Callable[..., Any], static_argnums: int, donate_argnums: int) -> Callable[..., Any]:
        """Return the function, compiled, with its results on every device.

        Args:
          function: of arrays that are on every device, or split.
          static_argnums: of `jax.jit`.
          donate_argnums: likewise.
        """
        if self.mesh is None:
            return jax.jit(function, static_argnums=static_argnums, donate_argnums=donate_argnums)
        whole = _whole(self.mesh)
        return jax.jit(function, static_argnums=static_argnums, donate_argnums=donate_argnums, out_shardings=whole)

    def on_all(self, tree: T) -> T:
        """Return arrays of this host on every device. Nothing is copied to where it is already.

        Args:
          tree: the same in all processes.
        """
        if self.mesh is None:
            return tree
        whole, devices = _whole(self.mesh), self.mesh.local_devices

        def placed(leaf: Any) -> Array:
            if isinstance(leaf, jax.Array) and leaf.sharding == whole:
                return leaf
            parts = [jax.device_put(leaf, device) for device in devices]
            return jax.make_array_from_single_device_arrays(np.shape(leaf), whole, parts)

        return jax.tree.map(placed, tree)

    def local(self, tree: T) -> T:
        """Return arrays that are on every device as they are on this host's first one, without a copy."""
        if self.mesh is None:
            return tree
        whole = _whole(self.mesh)
        return jax.tree.map(
            lambda leaf: leaf.addressable_data(0) if getattr(leaf, "sharding", None) == whole else leaf, tree
        )

    def of_first(self, tree: T) -> T:
        """Return the first process's arrays on every device: the last bits may differ between processors.

        Args:
          tree: of the same shapes in all processes.
        """
        if self.mesh is None or jax.process_count() == 1:
            return self.on_all(tree)
        mesh = self.mesh

        def stacked(leaf: Any) -> Array:
            value = np.asarray(leaf)[None]

            def part(index: tuple[slice, ...] | None) -> ndarray:
                assert index is not None
                return np.zeros_like(value) if index[0].start else value

            return jax.make_array_from_callback((int(mesh.size), *value.shape[1:]), _split(mesh, 0), part)

        def total(tree: T) -> T:
            return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0, dtype=leaf.dtype), tree)

        return jax.jit(total, out_shardings=_whole(mesh))(jax.tree.map(stacked, tree))

    def of_each(self, number: int) -> list[int]:
        """Return the numbers of all processes, one for each device, in every process; it waits for the last of them."""
        if self.mesh is None:
            return [number]
        own = np.asarray([number], np.int32)
        parts = jax.make_array_from_callback((int(self.mesh.size),), _split(self.mesh, 0), lambda _: own)
        return [int(each) for each in np.asarray(jax.jit(lambda every: every, out_shardings=_whole(self.mesh))(parts))]

    def agreed(self, number: int) -> int:
        """Return the first process's number, for decisions that all have to take alike."""
        return self.of_each(number)[0]

    def split(self, batch: T) -> T:
        """Split arrays `[B, ...]` over the devices, inside of a compiled function."""
        return batch if self.mesh is None else jax.lax.with_sharding_constraint(batch, _split(self.mesh, 0))

    def gather(self, values: ndarray, rows: Int[ndarray, "U B ..."]) -> Array:
        """Return `values[rows]`, split along B: each host reads the rows of its own devices.

        Args:
          values: on the host, or on disk, `[M, ...]`.
          rows: of the batches of several updates.
        """
        if self.mesh is None:
            return jnp.asarray(values[rows])
        shape = (*rows.shape, *values.shape[1:])
        return jax.make_array_from_callback(
            shape, _split(self.mesh, 1), lambda index: values[rows[(index or ())[: rows.ndim]]]
        )

    def split_batches(self, batches: T) -> T:
        """Split arrays of this host `[U, B, ...]`, of several updates, along B; what is split already stays.

        Args:
          batches: the same in all processes.
        """
        if self.mesh is None:
            return batches
        split = _split(self.mesh, 1)

        def placed(leaf: Array) -> Array:
            if leaf.sharding == split:
                return leaf
            value = np.asarray(leaf)
            return jax.make_array_from_callback(value.shape, split, lambda index: value[index or ()])

        return jax.tree.map(placed, batches)


ONE = Devices()


def _whole(mesh: Mesh) -> NamedSharding:
    """Sharding of arrays that are on every device."""
    return NamedSharding(mesh, PartitionSpec())


def _split(mesh: Mesh, axis: int) -> NamedSharding:
    """Sharding of arrays with a part of one axis on each device."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, _AXIS))
