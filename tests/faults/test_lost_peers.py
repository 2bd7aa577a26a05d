"""Of two processes one is lost: the other ends by itself, and the run goes on to the same bits."""

import random

import pytest

from cnn_jax.runtime.distributed import peer_lost
from tests.faults.peers import MINUTE, Peers, named


def test_who_is_named():
    beats = "stopped sending heartbeats):\n2\n13\n"
    assert [named(beats, lost) for lost in (1, 2, 3, 13)] == ["", "by number", "", "by number"]
    assert named("either the leader task was preempted", 0) == "as the service"
    assert named("either the leader task was preempted", 1) == ""
    assert named("RPC: /xla.coordination.CoordinationService/Heartbeat", 0) == "as the service"
    gone = [f"error: {peer_lost(ValueError('Gloo'), 1, count)}" for count in (2, 4)]
    assert [named(gone[0], lost) for lost in (0, 1)] == ["by number", ""]
    assert [named(gone[1], lost) for lost in (0, 1, 2)] == [
        "as one of several",
        "",
        "as one of several",
    ]


@pytest.mark.slow
def test_a_lost_process(tmp_path):
    peers = Peers(tmp_path, processes=2, silence=10)
    for number in range(2):
        found = peers.round(random.Random(f"1 {number}"))
        assert found["seconds"] < MINUTE
        assert None not in found["statuses"]
        assert found["done"] or 0 not in found["statuses"]
        assert found["same bits"]
