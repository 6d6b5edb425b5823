import jax
import numpy as np
import pytest

from worldmodel.models.tensors import fill


def test_tensors_fill_a_tree_and_no_program_is_compiled_for_their_shapes(compiled):
    stored = {f"layer.{size}": np.arange(size, dtype=np.float32) for size in (2, 3, 5)}
    template = {"layer": {size: jax.ShapeDtypeStruct((size,), np.float32) for size in (2, 3, 5)}}
    filled = fill("model.safetensors", template, stored)
    for size, leaf in filled["layer"].items():
        assert isinstance(leaf, jax.Array)
        np.testing.assert_array_equal(leaf, stored[f"layer.{size}"], strict=True)
    assert not compiled()


def test_a_tensor_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"a\.safetensors does not fit: x is float32\[3\], expected float32\[2\]"):
        fill("a.safetensors", {"x": jax.ShapeDtypeStruct((2,), np.float32)}, {"x": np.zeros(3, np.float32)})
