"""Fitting uint8 images to the size and the channels that a net takes."""

from __future__ import annotations

import dataclasses

import numpy as np

from cnn_jax.errors import UserError, unknown

FITS = ("pad", "bilinear", "nearest", "crop")


@dataclasses.dataclass(frozen=True)
class ResizeSpec:
    """How an image comes to [size, size, channels].

    - `pad`: zeros around the middle; a photograph that is larger is first shrunk to fit.
    - `bilinear`, `nearest`: resized to the square whatever its shape.
    - `crop`: the shorter side to `resize` pixels, then the square in the middle (ImageNet's usual
      test crop: 256, then 224).

    `channels` 0 leaves them. Shrinking is antialiased (Pillow).
    """

    size: int
    how: str
    channels: int = 0
    resize: int = 0

    def __post_init__(self):
        if self.how not in FITS:
            raise unknown("data.fit", self.how, FITS)
        if self.how == "crop" and self.resize < self.size:
            raise UserError(
                f"data.resize={self.resize} is smaller than data.image_size={self.size}: "
                "data.fit='crop' cuts the image out of the resized one"
            )

    @property
    def min_side(self) -> int:
        """The side under which an image should not be decoded."""
        return self.resize if self.how == "crop" else self.size

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """One image of any size, uint8 [H, W, C] -> [size, size, channels]."""
        image = fit_channels(image, self.channels)
        if self.how == "crop":
            return centre_crop(resize_shorter(image, self.resize), self.size)
        if self.how == "pad":
            if max(image.shape[:2]) > self.size:
                share = self.size / max(image.shape[:2])
                height, width = (max(1, round(side * share)) for side in image.shape[:2])
                image = resize(image, height, width)
            return pad(image[None], self.size)[0]
        return resize(image, self.size, self.size, self.how)


def fit_size(images: np.ndarray, size: int, how: str) -> np.ndarray:
    """[N, H, W, C] -> [N, size, size, C], all by one rule; padding never shrinks."""
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
        return pad(images, size)
    return np.stack([resize(image, size, size, how) for image in images])


def pad(images: np.ndarray, size: int) -> np.ndarray:
    """Zeros around [N, H, W, C]."""
    short = [size - side for side in images.shape[1:3]]
    return np.pad(images, [(0, 0), *((s // 2, s - s // 2) for s in short), (0, 0)])


def resize(image: np.ndarray, height: int, width: int, how: str = "bilinear") -> np.ndarray:
    """[H, W, C] -> [height, width, C] by Pillow."""
    if image.shape[:2] == (height, width):
        return image
    from PIL import Image

    resample = {"bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}[how]
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    resized = np.asarray(Image.fromarray(pixels).resize((width, height), resample))
    return resized.reshape(height, width, image.shape[-1])


def resize_shorter(image: np.ndarray, side: int) -> np.ndarray:
    """[H, W, C] with its shorter side at `side` pixels and its shape kept."""
    share = side / min(image.shape[:2])
    height, width = (max(side, round(length * share)) for length in image.shape[:2])
    return resize(image, height, width)


def centre_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle."""
    top, left = ((length - size) // 2 for length in image.shape[:2])
    return image[top : top + size, left : left + size]


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
