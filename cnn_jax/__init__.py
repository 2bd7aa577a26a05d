"""Classic convolutional networks in JAX, each as its paper has it."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import os

    from cnn_jax.inference.loaded_net import LoadedNet

__version__ = "0.2.0.dev0"


def load(run_or_weights: str | os.PathLike) -> LoadedNet:
    """The net of a workdir, or of a folder of weights: see `cnn_jax.inference.loading.load`."""
    from cnn_jax.inference import loading  # seconds, which `import cnn_jax` does without

    return loading.load(run_or_weights)
