"""From an image of any size to what one net takes, as it was trained or published."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.images.decode import PIXELS
from cnn_jax.data.images.eval_protocols import SINGLE, EvalProtocol, Views
from cnn_jax.data.images.resize import Image, ResizeSpec
from cnn_jax.data.normalization import FILE, InputStatistics
from cnn_jax.errors import UserError

# What needs no image of the training split.
FIXED = ("minus_one_to_one", "lecun1998", "imagenet", "none")


@dataclasses.dataclass(frozen=True)
class ImagePreparation:
    """Resized and cut on the host to uint8, normalised on the device.

    With a `protocol`, an image has several views, and the net's answers are averaged.
    """

    resize: ResizeSpec  # its channels are those of the net, never 0
    statistics: InputStatistics
    protocol: EvalProtocol | None = None
    is_bgr: bool = False  # blue first, as Caffe has it
    max_pixels: int = PIXELS

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[H, W, C] as the net sees it."""
        return (self.resize.size, self.resize.size, self.resize.channels)

    @property
    def min_side(self) -> int:
        """The side under which an image should not be decoded."""
        return self.protocol.min_side if self.protocol else self.resize.min_side

    @property
    def views(self) -> int:
        """How many a net sees of one image."""
        return self.protocol.views if self.protocol else 1

    def __call__(self, image: Image) -> Views:
        """uint8 [H, W, C] -> its one view [S, S, C], or those of the protocol [k, S, S, C]."""
        return self.protocol(image) if self.protocol else [self.resize(image)]

    def normalise(self, images: jax.Array) -> jax.Array:
        """float32 grey levels [..., C] -> as the net sees them."""
        return self.statistics.normalise(images[..., ::-1] if self.is_bgr else images)

    def with_protocol(self, text: str) -> ImagePreparation:
        """The same images by another protocol."""
        protocol = EvalProtocol.parse(text, self.resize.size, self.resize.channels)
        return dataclasses.replace(self, protocol=protocol)

    def __str__(self) -> str:
        return str(self.protocol or SINGLE)


def of_run(config: ConfigDict, folder: Path, image_shape: tuple[int, int, int]) -> ImagePreparation:
    """As a run sees images; raises `UserError` where its constants are lost."""
    statistics = InputStatistics.read(folder)
    if statistics is None and config.data.normalisation in FIXED:
        nothing = np.zeros((0, *image_shape), np.uint8)
        without = config.copy_and_resolve_references()
        without.augment = ()  # whose constants training alone needs
        statistics = InputStatistics.of(without, nothing)
    if statistics is None:
        raise UserError(
            f"{folder / FILE} is missing, the constants that the images were normalised with: "
            f"bring it back, or have it computed again where the training data lies: "
            f"cnn_jax evaluate --workdir={folder}"
        )
    resize = dataclasses.replace(ResizeSpec.of(config.data), channels=image_shape[-1])
    protocol = EvalProtocol.parse(config.protocol, resize.size, resize.channels)
    return ImagePreparation(resize, statistics, protocol, max_pixels=config.data.max_pixels)


def of_record(record: dict[str, Any], folder: Path) -> ImagePreparation:
    """From the `preprocessing` of the `weights.json` in a folder; raises `UserError`."""
    channels = {"grey": 1}.get(record.get("channels", "RGB"), 3)
    resize = ResizeSpec(
        record["image_size"],
        record.get("fit", "crop"),
        channels,
        record["resize"],
        record["interpolation"],
    )
    protocol = EvalProtocol.parse(record.get("protocol", SINGLE), resize.size, channels)
    is_bgr = record.get("channels") == "BGR"
    return ImagePreparation(resize, statistics_of_record(record, folder), protocol, is_bgr)


def statistics_of_record(record: dict[str, Any], folder: Path) -> InputStatistics:
    """Those of channels in [0, 1], or of the file beside, held to its digest."""
    if "statistics" not in record:
        mean, std = np.float64(record["mean"]), np.float64(record["std"])
        return InputStatistics(np.float32(255 * mean), np.float32(1 / (255 * std)))
    statistics = InputStatistics.read(folder)
    if statistics is None or statistics.digest() != record["statistics"]:
        what = "missing" if statistics is None else "not the file that weights.json describes"
        raise UserError(f"{folder / FILE} is {what}: bring it back, or write the folder again")
    return statistics
