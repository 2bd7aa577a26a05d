"""The jitted programs of a run."""

import pytest

from cnn_jax.ops import cpu_kernels, dispatch
from cnn_jax.training.experiment import make_experiment
from configs import mobilenet_v2, resnet20_cifar


@pytest.fixture
def one_device(monkeypatch):
    """The kernels of C++ as on a machine of one device."""
    if cpu_kernels.library() is None:
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(dispatch.jax, "device_count", lambda: 1)


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["small tensors joined", "blocks in a loop"])
def test_programs_have_no_effects(one_device, form):
    """JAX dispatches one that has any in Python: milliseconds a step, of hundreds of arrays."""
    del one_device
    if form == "small tensors joined":
        config = mobilenet_v2.get_config()
    else:
        config = resnet20_cifar.get_config("digits")
        config.model.name, config.model.scan = "resnet110_cifar", True
    config.devices = 1
    experiment = make_experiment(config)
    steps, batches = experiment.compiled, experiment.train_loader().batch_at(0)
    training = steps.train_steps(0).trace(steps.abstract, batches, 1)
    assert "cnn_jax_split" in str(training.jaxpr)
    assert not training.jaxpr.effects
    assert not steps.evaluate.trace(steps.abstract.state, batches).jaxpr.effects
