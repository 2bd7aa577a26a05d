"""Fifty steps of training with the forms for the CPU have the losses of the plain operations.

BatchNorm over few examples makes a thousand times more of a rounding in ten steps: nets that have
it see large batches here, and small steps.
"""

import contextlib

import jax
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops import convolutions
from cnn_jax.training.experiment import make_run
from configs.base import base

STEPS = 50


def losses(config, form):
    """Of every step; the form is chosen while the first is traced."""
    run = make_run(config)
    feed, carry, found = run.feed(), run.steps.init(), []
    with form():
        for step in range(STEPS):
            (state, running), _ = run.steps.train(carry, feed.batch_at(step), step)
            found.append(float(running.loss.compute()))
            carry = state, run.steps.empty_metrics()
    return found


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the forms are for the CPU")
@pytest.mark.parametrize(
    ("model", "size", "batch", "rate", "options"),
    [
        ("lenet5", 28, 16, 1e-3, {"activation": "relu", "pooling": "max"}),
        pytest.param("resnet20_cifar", 16, 128, 1e-4, {}, marks=pytest.mark.slow),
    ],
)
def test_fifty_steps_have_the_plain_losses(model, size, batch, rate, options, monkeypatch):
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)  # native operations too
    config = base("fifty", "digits", size)
    config.batch_size, config.devices = batch, 1
    config.optimizer.name, config.optimizer.learning_rate = "sgd", rate
    config.model.update({"name": model, **options})
    fast, plain = losses(config, contextlib.nullcontext), losses(config, ops.plain)
    assert fast[0] - fast[-1] > 0.01  # it learns
    np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=0)
