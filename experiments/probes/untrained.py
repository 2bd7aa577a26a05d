"""What can be said of a net before its first step."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.models.variables import init_variables
from cnn_jax.training.experiment import make_experiment

SMALLEST = 1e-30  # of a norm: what is smaller in float32 is gone


def gradient_flow(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The gradient's norm in the kernels of the first stage as a share of that in the last.

    One batch of the training images, at the initial weights; root mean squares over kernels, so
    that the stages' sizes do not count. Kernels of shortcuts are left out.
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

    def loss(params):
        output, _ = recipe.apply(
            {**variables, "params": params},
            images,
            train=True,
            rngs={"dropout": jax.random.key(config.seed)},
            mutable=["batch_stats"],
        )
        return recipe.loss(output, part.labels)["loss"].mean()

    grads = quick(jax.grad(loss))(variables["params"])
    return {"first over last": stage_norm(grads, "layer1") / stage_norm(grads, "layer3")}


def stage_norm(grads: dict, stage: str) -> float:
    """The root mean square of the gradient over all kernels of a stage."""
    leaves = jax.tree_util.tree_leaves_with_path(
        {name: tree for name, tree in grads.items() if name.startswith(stage)}
    )
    kernels = [
        np.asarray(leaf, np.float64).ravel()
        for path, leaf in leaves
        if "kernel" in jax.tree_util.keystr(path) and "shortcut" not in jax.tree_util.keystr(path)
    ]
    return max(math.sqrt(float(np.mean(np.concatenate(kernels) ** 2))), SMALLEST)


def parameters(config: ConfigDict, folder: Path) -> dict[str, float]:
    """How many numbers the net learns."""
    del folder
    experiment = make_experiment(config)
    shapes = jax.eval_shape(
        lambda: init_variables(experiment.step_spec.model, 0, experiment.dataset.train.image_shape)
    )
    return {"parameters": float(sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])))}
