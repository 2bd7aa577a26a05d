"""What can be said of a net before its first step."""

from __future__ import annotations

import functools
from pathlib import Path

import flax.linen
import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.models.variables import init_variables
from cnn_jax.training.experiment import make_experiment

SMALLEST = 1e-30  # of a norm: what is smaller in float32 is gone


def signal_flow(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The norm of the loss's gradient by the signals after the first block, as a share of that
    after the last block.

    One batch of the training images, at the initial weights of a net whose blocks are named
    `layer1_0` to `layer3_N`.
    """
    del folder
    experiment = make_experiment(config)
    recipe, split = experiment.step_spec, experiment.dataset.train
    # Each program is run once: most of the time would go to optimising it.
    quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    variables = quick(lambda seed: init_variables(recipe.model, seed, split.image_shape))(
        config.seed
    )
    rows = np.random.default_rng(config.seed).permutation(len(split))[: config.batch_size]
    part = split.take(rows)
    images = recipe.normalise(jax.numpy.asarray(part.images, jax.numpy.float32))
    labels = jax.numpy.asarray(part.labels)
    blocks = [name for name in variables["params"] if name.startswith("layer")]
    first, last = blocks[0], blocks[-1]
    dropout = {"dropout": jax.random.key(config.seed)}

    def forward(shifts: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        signals = {}

        def intercept(call, args, kwargs, context):
            signal, name = call(*args, **kwargs), context.module.name
            if name not in (first, last):
                return signal
            signals[name] = signal
            return signal + shifts[name] if name in shifts else signal

        with flax.linen.intercept_methods(intercept):
            output, _ = recipe.apply(
                variables, images, train=True, rngs=dropout, mutable=["batch_stats"]
            )
        return recipe.loss(output, labels)["loss"].mean(), signals

    shapes = jax.eval_shape(lambda: forward({})[1])
    zeros = {name: np.zeros(shape.shape, np.float32) for name, shape in shapes.items()}
    grads, _ = quick(jax.grad(forward, has_aux=True))(zeros)
    norms = {name: float(np.linalg.norm(np.float64(grad))) for name, grad in grads.items()}
    return {"first over last": max(norms[first], SMALLEST) / max(norms[last], SMALLEST)}


def parameters(config: ConfigDict, folder: Path) -> dict[str, float]:
    """How many numbers the net learns."""
    del folder
    experiment = make_experiment(config)
    shapes = jax.eval_shape(
        lambda: init_variables(experiment.step_spec.model, 0, experiment.dataset.train.image_shape)
    )
    return {"parameters": float(sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])))}
