"""What is computed again has the same values, gradients, statistics and draws, and keeps less."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.rematerialise import rematerialised


class Block(nn.Module):
    """A layer, a norm that moves, and a draw; called with an argument that is no array."""

    @nn.compact
    def __call__(self, x, width, train=True):
        x = nn.Dense(width, name="fc")(x)
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
        x = jnp.tanh(jnp.sin(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        for i in range(3):
            x = Block(name=f"block1_{i}")(x, 16, train=True)
        return nn.Dense(1, name="head")(x)


def gradients(patterns):
    """(value, statistics, gradients, how many numbers are kept for the backward pass)."""
    x = jax.random.normal(jax.random.key(0), (8, 16))
    variables = Net().init({"params": jax.random.key(1), "dropout": jax.random.key(2)}, x)

    def loss(params):
        joined = {"params": params, "batch_stats": variables["batch_stats"]}
        keys = {"dropout": jax.random.key(3)}
        with rematerialised(patterns):
            out, moved = Net().apply(joined, x, rngs=keys, mutable=["batch_stats"])
        return jnp.square(out).mean(), moved

    value, backward, moved = jax.vjp(loss, variables["params"], has_aux=True)
    kept = sum(leaf.size for leaf in jax.tree.leaves(backward))
    return (value, moved, backward(1.0)), kept


@pytest.mark.heavy
@pytest.mark.parametrize("patterns", [("block1",), ("block1_[02]", "head")])
def test_everything_is_the_same_and_less_is_kept(patterns):
    plain, kept = gradients(())
    again, kept_now = gradients(patterns)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), plain, again)
    assert kept_now < 0.8 * kept


@pytest.mark.heavy
def test_a_run_has_the_losses_of_one_that_keeps_everything(tiny):
    def losses(remat):
        tiny.remat = remat
        experiment = make_experiment(tiny)
        assert experiment.step_spec.remat == remat
        with experiment.step_loop(last_step=4) as steps:
            for _ in steps:
                pass
        return jax.device_get(steps.carry.state.params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), losses(()), losses(("hidden1",))
    )
    with pytest.raises(UserError, match=r"remat: 'hiden1' names nothing.*did you mean 'hidden1'"):
        losses(("hiden1",))
