"""What can be counted in a net, exactly; no images are needed, nor weights."""

from __future__ import annotations

import math
from pathlib import Path

from ml_collections import ConfigDict

from cnn_jax.analysis.stages import Layer, Summary, summarize
from cnn_jax.training.net import make_model


def summary_of(config: ConfigDict) -> Summary:
    """The net of a config on images of `data.image_size`."""
    side = config.data.image_size
    return summarize(make_model(config), (side, side, config.data.channels))


def whole_net(config: ConfigDict, folder: Path) -> dict[str, float]:
    """Parameters and multiply-adds, and how much of them is in dense layers, per cent."""
    del folder
    summary = summary_of(config)
    dense = [layer for layer in summary.layers if layer.kind == "dense"]
    operations = sum(layer.multiply_adds for layer in dense)
    return {
        "parameters": float(summary.inference_parameters),
        "multiply-adds": float(summary.multiply_adds),
        "parameters in dense layers": 100 * summary.dense_parameters / summary.inference_parameters,
        "multiply-adds in dense layers": 100 * operations / summary.multiply_adds,
    }


def last_block(config: ConfigDict, folder: Path) -> dict[str, float]:
    """VGG's fifth block: its weights without biases, and by how many pixels its field is wider."""
    del folder
    convolutions = [layer for layer in summary_of(config).layers if layer.kind == "conv"]
    block = [layer for layer in convolutions if layer.path.startswith("conv5")]
    before = convolutions[convolutions.index(block[0]) - 1]
    return {
        "weights": float(sum(weights(layer) for layer in block)),
        "field growth": float(field(block[-1]) - field(before)),
    }


def weights(layer: Layer) -> int:
    """Those of a convolution with biases, without them."""
    return layer.parameters - layer.output[-1]


def field(layer: Layer) -> int:
    """Pixels a side that one position sees."""
    assert layer.windows is not None
    return layer.windows[0].size


def reductions(config: ConfigDict, folder: Path) -> dict[str, float]:
    """GoogLeNet's modules with their 1x1 reductions, over the same modules without them.

    Without them (fig. 2a of the paper) the 3x3 and the 5x5 read the module's whole input, whose
    channels follow from the weights of its 1x1, and the pooled input is not projected.
    """
    del folder
    modules: dict[str, dict[str, Layer]] = {}
    for layer in summary_of(config).layers:
        module, slash, branch = layer.path.partition("/")
        if slash and layer.kind == "conv":
            modules.setdefault(module, {})[branch] = layer
    modules = {name: branches for name, branches in modules.items() if "pool_proj" in branches}
    reduced = sum(layer.multiply_adds for part in modules.values() for layer in part.values())
    naive = 0
    for branches in modules.values():
        channels = weights(branches["1x1"]) // branches["1x1"].output[-1]
        naive += branches["1x1"].multiply_adds
        for name in ("3x3", "5x5"):
            layer = branches[name]
            assert layer.kernel is not None
            naive += math.prod(layer.output) * math.prod(layer.kernel) * channels
    return {"modules": float(len(modules)), "reduced over naive": reduced / naive}


def first_block(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The second block of a ResNet's first stage, which changes no shape."""
    del folder
    layers = [layer for layer in summary_of(config).layers if layer.path.startswith("layer1_1/")]
    return {
        "channels": float(layers[-1].output[-1]),
        "multiply-adds": float(sum(layer.multiply_adds for layer in layers)),
    }
