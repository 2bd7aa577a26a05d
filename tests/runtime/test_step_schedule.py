"""The agenda against a plain list of what is due, and runs of steps that end where it says."""

import pytest

from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.step_schedule import StepSchedule


@pytest.mark.parametrize(
    ("examples", "batch", "log", "save", "starts"),
    [
        (1000, 100, 7, 0, (0,)),
        (1003, 64, 0, 10, (0, 21)),
        (64, 64, 3, 5, (0, 4)),
        (10, 3, 0, 0, (0,)),
    ],
)
@pytest.mark.parametrize("most", [1, 4, 1000])
def test_runs_of_steps_end_where_something_is_due(examples, batch, log, save, starts, most):
    clock = Clock(examples, batch, 5.0)
    agenda = StepSchedule(clock, 2.0, log, save, starts)
    due = {
        step
        for step in range(1, clock.total_steps + 1)
        if clock.is_time(step, 2.0)
        or (log and step % log == 0)
        or (save and step % save == 0)
        or step in starts
        or clock.epoch_of(step) != clock.epoch_of(step - 1)
    }
    done, ends = 0, []
    while done < clock.total_steps:
        count = agenda.steps_until_event(done, most)
        assert 1 <= count <= most
        assert due.isdisjoint(range(done + 1, done + count))
        done += count
        ends.append(done)
    assert done == clock.total_steps
    assert due <= set(ends)
    if most == 1000:
        assert set(ends) == due


def test_what_is_due_when():
    agenda = StepSchedule(Clock(100, 10, 2.0), 1.0, 4, 6, (0,))
    steps = range(1, 21)
    assert [s for s in steps if agenda.evaluates(s)] == [10, 20]
    assert [s for s in steps if agenda.logs(s)] == [4, 8, 10, 12, 16, 20]
    assert [s for s in steps if agenda.saves(s)] == [6, 10, 12, 18, 20]


def test_the_host_reads_the_state_where_flow_is_measured():
    agenda = StepSchedule(Clock(100, 10, 2.0), 1.0, 4, 6, (0,), 7)
    found = [step for step in range(1, 21) if agenda.is_event(step)]
    assert found == [4, 6, 7, 8, 10, 12, 14, 16, 18, 20]
    assert agenda.steps_until_event(6, 100) == 1
