import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldmodel.diagnostics.leak import leak


@given(
    seed=st.integers(0, 2**16),
    size=st.integers(1, 5),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
    share=st.floats(0, 1),
)
def test_leak_is_the_share_of_the_variance_that_the_distractor_makes(seed, size, scale, shift, share):
    rng = np.random.default_rng(seed)
    states, one, other = rng.normal(size=(3, 20_000, size))
    state_weight, distractor_weight = scale * math.sqrt(1 - share), scale * math.sqrt(share)
    latents = [state_weight * states + distractor_weight * each + scale * shift for each in (one, other)]
    found = leak(*latents)
    assert found == pytest.approx(share, abs=0.05)
    assert leak(*latents[::-1]) == pytest.approx(found)
    assert leak(latents[0], latents[0]) == 0  # an encoder that ignores it


def test_a_constant_representation_has_no_leak():
    assert math.isnan(leak(np.ones((5, 2)), np.ones((5, 2))))
