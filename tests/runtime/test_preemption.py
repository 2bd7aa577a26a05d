"""The second Ctrl-C does what the process was told: no exception comes out of a handler."""

import contextlib
import os
import signal
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnn_jax import cli, main, train
from cnn_jax.runtime import preemption
from cnn_jax.runtime.preemption import Interruption, on_second_interrupt
from configs.base import base


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


def test_a_second_interrupt_of_a_command_ends_its_process(monkeypatch, capfd):
    """By the status of a Ctrl-C and without an exception, which might come amid a library."""
    ends, went_on = [], []

    def train_until_two_interrupts(*_):
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            went_on.extend(ends)

    for flag, value in (("DRY_RUN", False), ("MODE", "train"), ("EXTEND", False)):
        monkeypatch.setattr(main, flag, types.SimpleNamespace(value=value))
    monkeypatch.setattr(preemption, "_second_interrupt", preemption.raise_interrupt)
    monkeypatch.setattr(train, "train_and_evaluate", train_until_two_interrupts)
    monkeypatch.setattr(os, "_exit", ends.append)
    assert main.run(base("x", "digits", 8), "runs/x") is None
    assert (ends, went_on) == ([130], [130])
    assert capfd.readouterr().out.startswith("stopped at once: go on from the last checkpoint: ")


def test_so_it_does_of_every_command(monkeypatch):
    """`sweep`, `advise` and the like train too, and say nothing of it themselves."""
    ends = []
    monkeypatch.setattr(preemption, "_second_interrupt", preemption.raise_interrupt)
    monkeypatch.setattr(cli, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr(os, "_exit", ends.append)

    def training(argv):
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    assert cli.guard(training)(["sweep"]) is None
    assert ends == [130]


def test_what_signals_did_before_they_do_again():
    """Also where an error ends the training; a notebook's own handlers are kept."""
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    with contextlib.suppress(ZeroDivisionError), Interruption():
        assert signal.getsignal(signal.SIGTERM) != before[0]
        raise ZeroDivisionError
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before


def test_in_a_thread_signals_stay_as_they_are():
    """Python allows their handlers in the main thread alone."""
    before = signal.getsignal(signal.SIGTERM)

    def training():
        with Interruption() as interruption:
            assert interruption.requested(1) is None
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(training).result() == before


def test_without_a_command_it_is_pythons_own(monkeypatch):
    monkeypatch.setattr(preemption, "_second_interrupt", preemption.raise_interrupt)
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
