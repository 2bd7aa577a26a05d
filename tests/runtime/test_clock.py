"""Epochs, examples and steps into each other."""

import pytest

from cnn_jax.runtime.clock import Clock


def test_epochs_end_at_the_first_step_that_covers_them():
    clock = Clock(examples=37, batch_size=10, epochs=2.5)
    assert [clock.step_at(e) for e in (0, 1, 2, 2.5)] == [0, 4, 8, 10]
    assert clock.total_steps == 10
    assert [clock.epoch_of(s) for s in (0, 3, 4, 7, 8)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("examples", "batch", "every"), [(37, 10, 1.0), (1000, 100, 0.1), (64, 64, 0.5), (100, 7, 3.0)]
)
def test_it_is_time_exactly_once_a_period(examples, batch, every):
    clock = Clock(examples, batch, epochs=12.0)
    times = [s for s in range(1, clock.total_steps + 1) if clock.is_time(s, every)]
    expected = sorted({clock.step_at(every * k) for k in range(1, round(12 / every) + 1)})
    assert times == expected


def test_never_but_at_the_end():
    clock = Clock(100, 10, 3.0)
    assert [s for s in range(1, 31) if clock.is_time(s, 0)] == [30]
