"""Runs have the losses that are written down: a change of bits is never an accident."""

import numpy as np
import pytest

from tests.training.golden_losses import RUNS, losses, place, read


@pytest.mark.heavy
@pytest.mark.parametrize("name", RUNS)
def test_losses_are_those_written_down(name):
    """To the bit where this processor and jaxlib are there; those of others grow apart slowly."""
    golden, found = read()[name], losses(name)
    if place() in golden:
        assert found == golden[place()], (
            "if they should change: python -m tests.training.golden_losses"
        )
    for other in golden.values():
        np.testing.assert_allclose(found[:3], other[:3], rtol=1e-5)
        np.testing.assert_allclose(found, other, rtol=1e-2)
