"""Fifty steps of training with the operations for the CPU have the losses of the reference ones.

BatchNorm over few examples makes a thousand times more of a rounding in ten steps: nets that have
it see large batches here, and small steps.
"""

import contextlib

import jax
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops import convolutions
from cnn_jax.training.experiment import make_experiment
from configs.base import base

STEPS = 50


def train(config, operations):
    """The loss of every step; operations are chosen while the first is traced."""
    experiment = make_experiment(config)
    losses = []
    with operations(), experiment.step_loop(last_step=STEPS) as steps:
        for _ in steps:
            losses.append(float(steps.carry.metrics.loss.compute()))
            steps.carry = steps.carry._replace(metrics=experiment.compiled.empty_metrics())
    return losses


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="these are for the CPU")
@pytest.mark.parametrize(
    ("model", "size", "batch", "rate", "options"),
    [
        ("lenet5", 28, 16, 1e-3, {"activation": "relu", "pooling": "max"}),
        pytest.param("resnet20_cifar", 16, 128, 1e-4, {}, marks=pytest.mark.slow),
    ],
)
def test_fifty_steps_have_the_reference_losses(model, size, batch, rate, options, monkeypatch):
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)  # compiled kernels too
    config = base("fifty", "digits", size)
    config.batch_size, config.devices = batch, 1
    config.optimizer.name, config.optimizer.learning_rate = "sgd", rate
    config.model.update({"name": model, **options})
    fast, reference = train(config, contextlib.nullcontext), train(config, ops.reference_ops)
    assert fast[0] - fast[-1] > 0.01  # it learns
    np.testing.assert_allclose(fast, reference, rtol=1e-5, atol=0)
