"""Of two processes one is lost: the other ends by itself, and the run goes on to the same bits."""

import random

import pytest

from tests.faults.peers import MINUTE, Peers

pytestmark = pytest.mark.slow


def test_a_lost_process(tmp_path):
    peers = Peers(tmp_path, processes=2, silence=10)
    for number in range(2):
        found = peers.round(random.Random(f"1 {number}"))
        assert found["seconds"] < MINUTE
        assert None not in found["statuses"]
        assert found["done"] or 0 not in found["statuses"]
        assert found["same bits"]
