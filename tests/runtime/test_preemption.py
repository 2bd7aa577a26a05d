"""The second Ctrl-C does what the process was told: no exception comes out of a handler."""

import signal

import pytest

from cnn_jax.runtime import preemption
from cnn_jax.runtime.preemption import Interruption, on_second_interrupt


@pytest.fixture
def calls(monkeypatch):
    calls = []
    monkeypatch.setattr(preemption, "_second_interrupt", preemption.raise_interrupt)
    on_second_interrupt(lambda: calls.append("stopped"))
    return calls


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_stops_at_once(calls, first):
    with Interruption() as interruption:
        signal.raise_signal(first)
        assert interruption.requested(1) == first
        assert calls == []
        signal.raise_signal(signal.SIGTERM)
        assert calls == []
        signal.raise_signal(signal.SIGINT)
        assert calls == ["stopped"]
        assert interruption.requested(2) == first


def test_without_a_command_it_is_pythons_own(monkeypatch):
    monkeypatch.setattr(preemption, "_second_interrupt", preemption.raise_interrupt)
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
