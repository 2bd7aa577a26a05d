"""Elastic steps have the same bits on any number of devices, also where the number changes."""

import hashlib

import jax
import numpy as np
import pytest

from cnn_jax import train
from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.sharding import Devices
from cnn_jax.training import elastic
from cnn_jax.training.experiment import make_experiment
from tests.support.tiny_config import get_config


def config_of(devices, **keys):
    """BatchNorm, dropout, augmentation, averaged weights; eight shards of eight images."""
    config = get_config("elastic")
    config.devices, config.epochs = devices, 0.4
    config.update(keys)
    return config


def digest(tree):
    leaves = jax.tree.leaves(jax.device_get(tree))
    return hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest()


def bits(config, steps=5):
    """Of the state and the metrics after some steps, and of an evaluation of it."""
    experiment = make_experiment(config)
    with experiment.step_loop(last_step=steps) as loop:
        for _ in loop:
            pass
    return digest(loop.carry), digest(experiment.evaluator("validation")(loop.carry.state))


@pytest.mark.heavy
def test_one_device_has_the_bits_of_four():
    assert bits(config_of(1)) == bits(config_of(4))


@pytest.mark.heavy
def test_a_step_is_that_of_the_whole_batch():
    """Without norms and dropout the mean over shards is the mean over images."""

    def weights(parallel):
        config = config_of(2, parallel=parallel, augment=(), average_decay=0.0)
        config.model.update({"norm": "none", "dropout": 0.0})
        config.optimizer.update({"name": "sgd", "learning_rate": 0.5})
        with make_experiment(config).step_loop(last_step=2) as loop:
            for _ in loop:
                pass
        return jax.device_get(loop.carry.state.params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        *(weights(parallel) for parallel in ("elastic", "jit")),
    )


@pytest.mark.slow
@pytest.mark.parametrize("net", ["mlp", "lenet5"])
def test_all_counts_have_the_same_bits(net):
    """Of convolutions by this machine's own kernels, too."""
    config = config_of(1)
    if net == "lenet5":
        config.model.update({"name": net, "hidden": None, "norm": "batch"})
        config.data.image_size = 28
    found = {n: bits(config.copy_and_resolve_references(), 12) for n in [1]}
    for count in (2, 4, 8):
        config.devices = count
        found[count] = bits(config, 12)
    assert len({*found.values()}) == 1, found


@pytest.mark.slow
def test_the_comparison_is_not_blind(monkeypatch):
    """A mean in the order that the devices like has other bits on other counts."""
    plain = lambda values, devices: jax.lax.pmean(values.mean(0), elastic.AXIS)  # noqa: E731
    monkeypatch.setattr(elastic, "tree_mean", plain)
    assert len({bits(config_of(count), 12)[0] for count in (1, 2, 4, 8)}) > 1


@pytest.mark.slow
def test_a_run_goes_on_with_other_numbers_of_devices(tmp_path, monkeypatch):
    """8, then 2, then 1, then 4: the last checkpoint is that of a run on one device alone."""
    monkeypatch.setattr(train, "finish", lambda training: {})
    train.train_and_evaluate(config_of(1), tmp_path / "whole")
    folder = tmp_path / "changed"
    for count, end in ((8, 2), (2, 4), (1, 6)):
        config = config_of(count)
        training = train.Training(make_experiment(config, folder=folder), make(folder))
        for step in training:
            if step == end:
                break
        training.save()
        training.close()
    train.train_and_evaluate(config_of(4), folder)
    saves = [Checkpoints(path) for path in (tmp_path / "whole", folder)]
    one, other = (save.read(save.latest_valid()) for save in saves)
    assert digest(one.tree) == digest(other.tree)
    assert one.meta["progress"] == other.meta["progress"]
    rows = [(path / "metrics.jsonl").read_bytes() for path in (tmp_path / "whole", folder)]
    assert rows[0] == rows[1]


def make(folder):
    folder.mkdir(exist_ok=True)
    return folder


def test_shards_that_do_not_fit():
    with pytest.raises(
        UserError, match=r"shards=6 must be a power of two that 2 .*: choose shards=8"
    ):
        Devices.create("elastic", 2, 6)
    with pytest.raises(
        UserError, match=r"shards=4 must be a power of two that 8 .*: choose shards=8"
    ):
        Devices.create("elastic", 8, 4)
    with pytest.raises(UserError, match=r"that 3 devices divide, .*: choose devices=2"):
        Devices.create("elastic", 3, 8)
    config = config_of(1)
    config.batch_size = 60
    with pytest.raises(UserError, match=r"does not divide over 8 shards; choose batch_size=64"):
        make_experiment(config)
