"""Moments divided over the devices: less memory, the same losses, the same checkpoints."""

import re

import jax
import numpy as np
import pytest

from cnn_jax.analysis.abstract_run import bytes_per_device
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.sharding import P
from cnn_jax.training.compiled_steps import longest_axis
from cnn_jax.training.experiment import make_experiment
from tests.support.tiny_config import get_config


def config_of(devices, shard, **keys):
    config = get_config()
    config.devices, config.shard_optimizer = devices, shard
    config.update(keys)
    return config


def trained(experiment, steps=4):
    with experiment.step_loop(last_step=steps) as loop:
        for _ in loop:
            pass
    return loop.carry


@pytest.mark.heavy
@pytest.mark.parametrize("steps_per_dispatch", [1, 4])
def test_two_devices_hold_half_and_train_alike(steps_per_dispatch):
    keys = {"steps_per_dispatch": steps_per_dispatch}
    whole = trained(make_experiment(config_of(2, False, **keys)))
    half = trained(make_experiment(config_of(2, True, **keys)))
    for carry in (whole, half):
        assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(carry.state.params))
    adam, divided = whole.state.opt_state, half.state.opt_state
    counts = sum(x.nbytes for x in jax.tree.leaves(adam) if x.ndim == 0)
    assert 2 * (bytes_per_device(divided) - counts) == bytes_per_device(adam) - counts > 0
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        jax.device_get(whole.state),
        jax.device_get(half.state),
    )
    np.testing.assert_allclose(
        whole.metrics.compute()["loss"], half.metrics.compute()["loss"], rtol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lars", "lamb", "muon", "scan"])
def test_rules_of_whole_tensors_and_looped_nets_train_alike(name):
    configs = [config_of(2, shard) for shard in (False, True)]
    for config in configs:
        if name == "scan":
            config.model = {"name": "resnet20_cifar", "num_classes": 10, "scan": True}
        else:
            config.optimizer.name = name
    whole, divided = (trained(make_experiment(config), 3) for config in configs)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        jax.device_get(whole.state),
        jax.device_get(divided.state),
    )


def test_the_moments_alone_are_divided():
    """Parameters are gathered once; XLA would else divide the backward pass as it finds them."""
    experiment = make_experiment(config_of(2, True))
    with experiment.step_loop(last_step=1) as loop:
        batch = loop.loader.batch_at(0)
        step = experiment.compiled.train_steps(0)
        program = step.lower(loop.carry, batch, 1).compile().as_text()
    params = experiment.compiled.abstract.state.params
    divided = [p for p in jax.tree.leaves(params) if longest_axis(p.shape, 2) != P()]
    found = re.findall(r"= \S+ (all-gather|all-to-all|collective-permute)\(", program)
    assert found == ["all-gather"] * len(divided)


def test_the_longest_axis_that_divides():
    assert longest_axis((3, 3, 64, 128), 8) == P(None, None, None, "data")
    assert longest_axis((128, 10), 4) == P("data")
    assert longest_axis((10,), 4) == longest_axis((), 4) == longest_axis((8,), 1) == P()


@pytest.mark.parametrize("parallel", ["pmap", "elastic"])
def test_other_modes_are_refused(parallel):
    with pytest.raises(UserError, match=f"shard_optimizer=True does not go with.*{parallel}.*jit"):
        make_experiment(config_of(2, True, parallel=parallel))


@pytest.mark.heavy
def test_a_checkpoint_is_that_of_any_devices_with_and_without(tmp_path):
    experiment = make_experiment(config_of(2, True))
    carry = trained(experiment, 2)
    saves = Checkpoints(tmp_path)
    saves.save(2, carry.as_saved(), {}, best=0)
    saves.wait()
    for devices, shard in ((1, None), (2, None), (4, True)):
        target = make_experiment(config_of(devices, shard)).compiled.abstract
        found, _ = saves.restore(2, target.as_saved()).tree
        jax.tree.map(
            np.testing.assert_array_equal,
            jax.device_get(found),
            jax.device_get(carry.state.as_saved()),
        )
        places = jax.tree.map(lambda a, b: a.sharding == b.sharding, found, target.as_saved()[0])
        assert all(jax.tree.leaves(places))
    saves.close()


def test_a_run_may_go_on_without_it():
    config, other = workdir.flat(config_of(2, True)), workdir.flat(config_of(2, None))
    assert not workdir.differences(config, other)
