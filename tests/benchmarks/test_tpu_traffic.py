"""`benchmarks.tpu_traffic`: nets that are the same in both forms, and the example's step."""

import importlib.util
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.tpu_traffic import __main__ as tool
from benchmarks.tpu_traffic import compiled, flax_step
from cnn_jax.analysis import abstract_run, chips
from cnn_jax.runtime.sharding import Devices

HAS_TPU_COMPILER = importlib.util.find_spec("libtpu") is not None


@pytest.mark.parametrize("name", compiled.NETS)
def test_both_nets_have_as_many_parameters(name):
    net, devices = compiled.NETS[name], Devices.create("jit", 1)
    config = compiled.our_config(net, 1)
    run = abstract_run.abstract_run(config, devices, abstract_run.dataset_of(config))
    state = flax_step.abstract_state(net.flax(compiled.DTYPE), compiled.SIZE, devices)

    def shapes(tree):
        return sorted(x.shape for x in jax.tree.leaves(tree))

    assert shapes(state.params) == shapes(run.carry.state.params)
    assert shapes(state.batch_stats) == shapes(run.carry.state.batch_stats)


class Affine(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        zeros = nn.initializers.zeros
        return nn.Dense(flax_step.CLASSES, kernel_init=zeros)(x.mean((1, 2)))


def test_a_step_of_the_example_by_hand():
    """With zero weights all classes have one chance; momentum begins with the gradient."""
    devices = Devices.create("jit", 1)
    state = flax_step.abstract_state(Affine(), 4, devices)
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
    batch = {"image": jnp.ones((2, 4, 4, 3)), "label": jnp.array([0, 1], jnp.int32)}
    after, found = jax.jit(flax_step.train_step)(state, batch, jax.random.key(0))
    assert found["loss"] == pytest.approx(np.log(flax_step.CLASSES), rel=1e-6)
    assert found["accuracy"] == 0.5
    wanted = np.full(flax_step.CLASSES, 1 / flax_step.CLASSES)
    wanted[:2] -= 0.5
    bias = after.params["Dense_0"]["bias"]
    np.testing.assert_allclose(bias, -0.1 * wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(after.batch_stats["BatchNorm_0"]["mean"], 0.1, rtol=1e-6)


def row(on="v5e:1x1", commit="a", **changes):
    ours = {"moved_bytes": 22e9, "xla_bytes_accessed": 45e9, "held_bytes": 4e9, "flops": 3e12}
    ours |= {"compute_seconds": 0.015, "memory_seconds": 0.02} | changes
    flax = ours | {"moved_bytes": 27.5e9, "held_bytes": 5e9, "memory_seconds": 0.03}
    return {"net": "resnet50", "on": on, "machine": {"commit": commit}, "ours": ours, "flax": flax}


def test_the_table_has_both_and_their_ratio():
    cells = list(tool.table([row()]))[-1].strip("| ").split(" | ")
    assert cells[0] == "resnet50, v5e:1x1"
    assert cells[1:6] == ["22.0 / 27.5", "0.80", "1.00", "4.00 / 5.00", "0.80"]
    assert cells[6:] == ["3.00 / 3.00", "20.0 / 30.0"]


def test_a_row_is_done_by_the_same_commit_only():
    assert tool.is_done(row(), row())
    assert not tool.is_done(row(), row(commit="b"))
    assert not tool.is_done(row(), row(on="v5e:2x4"))
    assert tool.same_place(row(), row(commit="b"))


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason="pip install 'cnn_jax[plan]' for libtpu")
def test_a_step_of_the_example_moves_its_images_in_and_its_state_in_and_out():
    chip, devices = chips.devices_of("v5e:1x1", "jit")
    lowered, count = flax_step.lowered(Affine(), 8, 128, jnp.bfloat16, devices)
    found = compiled.figures(lowered.compile(), count, chip)
    state = 2 * 4 * count  # parameters and momentum
    assert count == 3 * 1000 + 1000 + 2 * 3
    assert found["read_bytes"] >= state + 8 * 128 * 128 * 3 * 2
    assert found["written_bytes"] >= state
    assert found["moved_bytes"] == found["read_bytes"] + found["written_bytes"]
    assert found["held_bytes"] > state
    assert found["memory_seconds"] == found["moved_bytes"] / 819e9
    json.dumps(found)
