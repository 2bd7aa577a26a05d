"""Nets as `cnn_jax.load` gives them, whose every variable has another value."""

import jax
import numpy as np

from cnn_jax import models
from cnn_jax.data.dataset import Task
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.inference.loaded_net import LoadedNet
from cnn_jax.inference.preparation import ImagePreparation
from configs.base import base


def random_variables(model, shape):
    """Of every variable other numbers, as no fresh net has them."""
    variables = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, "f4"))
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name == "var":
            return np.float32(rng.uniform(0.5, 1.5, leaf.shape))
        scale = np.sqrt(1 / np.prod(leaf.shape[:-1])) if name == "kernel" else 0.1
        return np.float32(scale * rng.standard_normal(leaf.shape) + (name == "scale"))

    return jax.tree_util.tree_map_with_path(draw, variables)


def random_net(name, size, classes=4, **options):
    model = models.create(name, classes + 1, **options)  # the last output has no class
    channels = models.REGISTRY[name].input_shape[-1]
    own = ImagePreparation(
        ResizeSpec(size, "bilinear", channels),
        InputStatistics(np.float32(np.arange(channels) + 100), np.float32(np.ones(channels) / 60)),
    )
    variables = random_variables(model, (1, size, size, channels))
    task = Task("classification", tuple("abcdefgh"[:classes]))
    return LoadedNet(name, model, variables, task, own, base("x", "digits", image_size=8), "here")
