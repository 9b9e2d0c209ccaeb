"""The learning rate against the official numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infgen.inversion.optimise import rate_factor
from tests import oracle


def test_the_rate_over_a_run_is_the_official_one() -> None:
    data = oracle.load("inversion")
    found = [0.1 * rate_factor(float(p), ramp_up=0.05, ramp_down=0.25) for p in data["lr_progress"]]
    np.testing.assert_allclose(found, data["lr_at_progress"], rtol=1e-5, atol=1e-8)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_factor_is_a_share(progress: float, ramp_up: float, ramp_down: float) -> None:
    assert 0 <= rate_factor(progress, ramp_up=ramp_up, ramp_down=ramp_down) <= 1


def test_without_ramps_the_rate_is_constant() -> None:
    assert {rate_factor(p, ramp_up=0, ramp_down=0) for p in (0.0, 0.5, 1.0)} == {1.0}
