"""The loop over the updates: how it begins."""

import dataclasses
import threading

import jax
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.training.experiment import make_experiment


class Watched:
    """A step whose compilation is seen by another thread."""

    def __init__(self, steps, compiling):
        self.steps, self.compiling = steps, compiling

    def lower(self, *arguments):
        self.compiling.set()
        return self.steps.lower(*arguments)

    def __call__(self, *arguments):
        return self.steps(*arguments)


def with_init(experiment, init, compiling):
    steps = tuple(Watched(steps, compiling) for steps in experiment.compiled.phases)
    compiled = dataclasses.replace(experiment.compiled, init=init, phases=steps)
    return dataclasses.replace(experiment, compiled=compiled)


def test_values_are_drawn_while_the_step_is_compiled(tiny):
    """Each waits for the other's start; one after the other, the wait would end."""
    experiment, compiling, drawing = make_experiment(tiny), threading.Event(), threading.Event()

    def init():
        drawing.set()
        assert compiling.wait(60), "compilation waits for the values"
        return experiment.compiled.init()

    with with_init(experiment, init, compiling).step_loop(last_step=1) as loop:
        assert drawing.wait(60), "nothing is drawn before the first step"
        next(loop)
    plain = experiment.step_loop(experiment.compiled.init(), last_step=1)
    next(plain)
    ours, theirs = (jax.tree.leaves(jax.device_get(i.carry.state.params)) for i in (loop, plain))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_goes_wrong_while_values_are_drawn_is_said(tiny):
    def init():
        raise UserError("weights of another net")

    experiment = with_init(make_experiment(tiny), init, threading.Event())
    with pytest.raises(UserError, match="of another net"), experiment.step_loop() as loop:
        next(loop)


def test_state_that_is_given_before_the_drawn_is_read_takes_its_place(tiny):
    experiment = make_experiment(tiny)
    given = experiment.compiled.init(seed=7)
    with experiment.step_loop() as loop:
        loop.carry = given
        assert loop.carry is given
