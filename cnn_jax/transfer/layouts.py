"""A tensor in torch's layout and in ours."""

from __future__ import annotations

import numpy as np


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """HWIO -> OIHW, (inputs, outputs) -> (outputs, inputs)."""
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape[::-1]


def from_torch(
    tensor: np.ndarray, shape: tuple[int, ...], flattened: tuple[int, int, int] | None = None
) -> np.ndarray | None:
    """A tensor of torch's layout as float32 of our `shape`, or None where it does not fit.

    Convolutions OIHW -> HWIO, dense layers (outputs, inputs) -> (inputs, outputs), where 1x1
    convolutions and dense layers stand for each other. A dense layer on a `flattened` map (C, H, W)
    has its inputs reordered to H, W, C.
    """
    outputs = shape[-1]
    if len(shape) == 1:  # old files have vectors of shape (1, C)
        fits = tensor.size == max(tensor.shape, default=0) == outputs
        return tensor.astype(np.float32).reshape(shape) if fits else None
    if flattened is not None and tensor.shape == (outputs, *flattened):  # as a convolution
        tensor = tensor.reshape(outputs, -1)
    if tensor.ndim == 2 and flattened is not None and tensor.shape == (outputs, np.prod(flattened)):
        tensor = tensor.reshape(outputs, *flattened).transpose(0, 2, 3, 1).reshape(outputs, -1)
    if tensor.ndim == 4 and len(shape) == 2 and tensor.shape[2:] == (1, 1):
        tensor = tensor[:, :, 0, 0]
    if tensor.ndim == 2 and len(shape) == 4 and shape[:2] == (1, 1):
        tensor = tensor[:, :, None, None]
    if tensor.shape != torch_shape(shape):
        return None
    axes = (2, 3, 1, 0) if tensor.ndim == 4 else (1, 0)
    return np.ascontiguousarray(tensor.transpose(axes), np.float32)
