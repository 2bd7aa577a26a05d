"""Fitting uint8 images to the size and the channels that a net takes."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from cnn_jax.data.images.decode import STRIP_PIXELS
from cnn_jax.errors import UserError, unknown

METHODS = ("pad", "bilinear", "bicubic", "nearest", "crop")
LONGEST = 8  # shorter sides that an enlarged image may be long
CROP_FRACTION = 0.875  # of the resized side that the middle crop keeps: 224 of 256

Image = UInt8[np.ndarray, "h w c"]
Images = UInt8[np.ndarray, "n h w c"]


@dataclasses.dataclass(frozen=True)
class ResizeSpec:
    """How an image comes to [size, size, channels].

    - `pad`: zeros around the middle; a photograph that is larger is first shrunk to fit.
    - `bilinear`, `bicubic`, `nearest`: resized to the square whatever its shape.
    - `crop`: the shorter side to `resize` pixels, then the square in the middle (ImageNet's usual
      test crop: 256, then 224).

    `channels` 0 leaves them. Shrinking is antialiased (Pillow).
    """

    size: int
    method: str
    channels: int = 0
    resize: int = 0
    interpolation: str = "bilinear"  # of "crop": "bicubic" where published weights expect it

    def __post_init__(self):
        if self.method not in METHODS:
            raise unknown("data.fit", self.method, METHODS)
        if self.method == "crop" and self.resize < self.size:
            raise UserError(
                f"data.resize={self.resize} is smaller than data.image_size={self.size}: "
                "data.fit='crop' cuts the image out of the resized one"
            )

    @classmethod
    def of(cls, config: ConfigDict) -> ResizeSpec:
        """That of `config.data`."""
        size, margin = config.image_size, config.get("resize_margin")
        resize = config.resize or (size + margin if margin else round(size / CROP_FRACTION))
        return cls(config.image_size, config.fit, config.channels, resize)

    @property
    def min_side(self) -> int:
        """The side under which an image should not be decoded."""
        return self.resize if self.method == "crop" else self.size

    def __call__(self, image: Image) -> UInt8[np.ndarray, "_s _s _c"]:
        """One image of any size -> [size, size, channels]."""
        image = convert_channels(image, self.channels)
        if self.method == "crop":
            return centre_crop(resize_shorter(image, self.resize, self.interpolation), self.size)
        if self.method == "pad":
            if max(image.shape[:2]) > self.size:
                ratio = self.size / max(image.shape[:2])
                height, width = (max(1, round(side * ratio)) for side in image.shape[:2])
                image = resize(image, height, width)
            return pad(image[None], self.size)[0]
        return resize(image, self.size, self.size, self.method)

    def of_array(self, images: Images) -> UInt8[np.ndarray, "n _s _s _c"]:
        """All images of an array; padding never shrinks them."""
        if len(images) == 0:
            channels = self.channels or images.shape[-1]
            return np.zeros((0, self.size, self.size, channels), np.uint8)
        if self.method == "crop":
            return np.stack([self(image) for image in images])
        images = convert_channels(images, self.channels)
        return np.ascontiguousarray(resize_images(images, self.size, self.method))


def resize_images(images: Images, size: int, method: str) -> UInt8[np.ndarray, "n _s _s c"]:
    """[N, H, W, C] -> [N, size, size, C]; padding never shrinks, and size 0 leaves them."""
    height, width = images.shape[1:3]
    if size in (0, height) and size in (0, width):
        return images
    if method == "pad":
        if size < max(height, width):
            raise UserError(
                f"data.image_size={size} is smaller than the images ({height}x{width}): "
                "data.fit='pad' cannot shrink them, choose data.fit='bilinear' or 'nearest'"
            )
        return pad(images, size)
    return np.stack([resize(image, size, size, method) for image in images])


def pad(images: Images, size: int) -> UInt8[np.ndarray, "n {size} {size} c"]:
    """Zeros around."""
    rims = [size - side for side in images.shape[1:3]]
    return np.pad(images, [(0, 0), *((rim // 2, rim - rim // 2) for rim in rims), (0, 0)])


def resize(
    image: Image, height: int, width: int, method: str = "bilinear"
) -> UInt8[np.ndarray, "{height} {width} c"]:
    """By Pillow."""
    if image.shape[:2] == (height, width):
        return image
    from PIL import Image as PillowImage

    filters = PillowImage.Resampling
    resample = {
        "bilinear": filters.BILINEAR,
        "nearest": filters.NEAREST,
        "bicubic": filters.BICUBIC,
    }[method]
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    resized = np.asarray(PillowImage.fromarray(pixels).resize((width, height), resample))
    return resized.reshape(height, width, image.shape[-1])


def resize_shorter(
    image: Image, side: int, interpolation: str = "bilinear"
) -> UInt8[np.ndarray, "_h _w c"]:
    """Its shorter side at `side` pixels, its shape kept.

    One that is enlarged is first cut to the middle that is `LONGEST` times as long as wide: a line
    of a few pixels would take gigabytes.
    """
    if side > (least := min(image.shape[:2])):
        image = middle(image, least * LONGEST)
    ratio = side / min(image.shape[:2])
    height, width = (max(side, round(length * ratio)) for length in image.shape[:2])
    return resize(image, height, width, interpolation)


def middle(image: Image, most: int) -> UInt8[np.ndarray, "_h _w c"]:
    """The part in the middle with no side over `most`."""
    rows, columns = (
        slice(max(0, n - most) // 2, max(0, n - most) // 2 + most) for n in image.shape[:2]
    )
    return np.ascontiguousarray(image[rows, columns])


def centre_crop(image: Image, size: int) -> UInt8[np.ndarray, "{size} {size} c"]:
    """The square in the middle."""
    top, left = ((length - size) // 2 for length in image.shape[:2])
    return image[top : top + size, left : left + size]


def convert_channels(
    images: UInt8[np.ndarray, "*n h w c"], channels: int
) -> UInt8[np.ndarray, "*n h w _c"]:
    """Grey to RGB by repetition, RGB to grey by ITU-R 601 luminance; 0 leaves the channels."""
    present = images.shape[-1]
    if channels in (0, present):
        return images
    if channels == 3 and present == 1:
        return np.repeat(images, 3, axis=-1)
    if channels == 1 and present == 3:
        if images.ndim == 3 and images.size > 3 * STRIP_PIXELS:  # 8 bytes a value on the way
            strips = np.array_split(images.reshape(-1, 1, 3), -(-images.size // STRIP_PIXELS))
            grey = np.concatenate([convert_channels(strip, 1) for strip in strips])
            return grey.reshape(*images.shape[:2], 1)
        grey = images @ np.array([0.299, 0.587, 0.114])
        return np.round(grey).astype(np.uint8)[..., None]
    raise UserError(f"data.channels={channels}, but the images have {present}; choices: 0, 1, 3")
