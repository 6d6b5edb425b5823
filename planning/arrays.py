"""Names of array annotations. A robot needs no jaxtyping: without it no shape is checked, and all else works.

Every module imports them from here, with `from __future__ import annotations`: no annotation is evaluated then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Array as Array
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
    from jaxtyping import PRNGKeyArray as PRNGKeyArray
    from jaxtyping import UInt8 as UInt8
else:
    try:
        from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8
    except ModuleNotFoundError:
        from jax import Array

        Bool = Float = Int = PRNGKeyArray = UInt8 = Array
