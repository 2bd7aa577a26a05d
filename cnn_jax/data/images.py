"""Fitting a whole uint8 array of images to the size and the channels that a net takes."""

from __future__ import annotations

import numpy as np

from cnn_jax.errors import UserError, unknown

FITS = ("pad", "bilinear", "nearest")


def fit_size(images: np.ndarray, size: int, how: str) -> np.ndarray:
    """[N, H, W, C] -> [N, size, size, C], by zero padding around the middle or by resizing."""
    if how not in FITS:
        raise unknown("data.fit", how, FITS)
    height, width = images.shape[1:3]
    if size in (0, height) and size in (0, width):
        return images
    if how == "pad":
        if size < max(height, width):
            raise UserError(
                f"data.image_size={size} is smaller than the images ({height}x{width}): "
                "data.fit='pad' cannot shrink them, choose 'bilinear' or 'nearest'"
            )
        short = [size - height, size - width]
        return np.pad(images, [(0, 0), *((s // 2, s - s // 2) for s in short), (0, 0)])
    from PIL import Image

    resample = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}[how]

    def resize(image: np.ndarray) -> np.ndarray:
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        resized = np.asarray(Image.fromarray(pixels).resize((size, size), resample))
        return resized.reshape(size, size, image.shape[-1])

    return np.stack([resize(image) for image in images])


def fit_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Grey to RGB by repetition, RGB to grey by ITU-R 601 luminance; 0 leaves the channels."""
    have = images.shape[-1]
    if channels in (0, have):
        return images
    if channels == 3 and have == 1:
        return np.repeat(images, 3, axis=-1)
    if channels == 1 and have == 3:
        grey = images @ np.array([0.299, 0.587, 0.114])
        return np.round(grey).astype(np.uint8)[..., None]
    raise UserError(f"data.channels={channels}, but the images have {have}; choices: 0, 1, 3")
