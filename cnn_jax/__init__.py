"""Classic convolutional networks in JAX, each as its paper has it."""

from __future__ import annotations

import typing

from cnn_jax.runtime.shipped_configs import install_finder

if typing.TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ml_collections import ConfigDict

    from cnn_jax.data.dataset import Dataset, EncodedSource
    from cnn_jax.data.sources.array_source import ArraySource
    from cnn_jax.inference.loaded_net import LoadedNet
    from cnn_jax.python_runs import Trained

__version__ = "0.2.0.dev0"

install_finder()  # `from configs.base import base`, wherever Python was started


def load(run_or_weights: str | os.PathLike, checkpoint: str | int = "best") -> LoadedNet:
    """The net of a workdir, or of a folder of weights: see `cnn_jax.inference.loading.load`."""
    from cnn_jax.inference import loading  # seconds, which `import cnn_jax` does without

    return loading.load(run_or_weights, checkpoint)


def train_and_evaluate(
    config: ConfigDict | str,
    workdir: str | os.PathLike,
    dataset: Dataset | ArraySource | EncodedSource | None = None,
    quiet: bool = False,
    extend: bool = False,
    on_step: Callable[[int, int], object] = lambda step, steps: None,
) -> Trained:
    """History and report of a run: see `cnn_jax.python_runs.train_and_evaluate`."""
    from cnn_jax import python_runs

    return python_runs.train_and_evaluate(config, workdir, dataset, quiet, extend, on_step)
