"""A process that is gone is named to those that are left."""

import jax
import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime import distributed

GLOO = RuntimeError("UNKNOWN: Gloo AllGather failed: Connection reset by peer\nmore")


@pytest.mark.parametrize(
    ("index", "count", "which", "waits"),
    [(0, 2, "process 1", []), (2, 4, "one of processes 0, 1, 3", [12])],
)
def test_which_process_is_gone(monkeypatch, capsys, index, count, which, waits):
    """Of several JAX is left the time to say which."""
    slept = []
    monkeypatch.setenv(distributed.SILENCE, "7")
    monkeypatch.setattr(jax, "process_count", lambda: count)
    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(distributed.time, "sleep", slept.append)
    monkeypatch.setattr(distributed.faulthandler, "disable", lambda: slept.append("no stack"))
    words = rf"^{which} of the run has ended or hangs, says process {index} of {count} \(UNKNOWN: "
    with pytest.raises(UserError, match=words) as raised, distributed.naming_peers():
        raise GLOO
    assert "\n" not in str(raised.value)
    assert slept == (["no stack", *waits] if waits else [])
    said = f"error: {raised.value}; JAX says within 12 s which one it is\n" if waits else ""
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("count", "error"), [(1, GLOO), (2, ValueError("of its own"))])
def test_a_fault_of_its_own_stays_one(monkeypatch, count, error):
    monkeypatch.setattr(jax, "process_count", lambda: count)
    with pytest.raises(type(error), match=str(error)[:10]), distributed.naming_peers():
        raise error


def test_silence(monkeypatch):
    monkeypatch.delenv(distributed.SILENCE, raising=False)
    assert distributed.silence_allowed() == 30
    monkeypatch.setenv(distributed.SILENCE, "7")
    assert distributed.silence_allowed() == 7
    for text in ("0", "-1", "1.5", "soon", ""):
        monkeypatch.setenv(distributed.SILENCE, text)
        with pytest.raises(UserError, match="choose whole seconds"):
            distributed.silence_allowed()


def test_the_cluster_is_told(monkeypatch):
    """By a keyword that JAX of either end of the supported range has."""
    told = {}
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(distributed.SILENCE, "7")
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: told.update(options))
    distributed.join_processes()
    assert told == {"heartbeat_timeout_seconds": 7}
