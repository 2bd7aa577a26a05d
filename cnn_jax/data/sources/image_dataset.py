"""From listed photographs to examples: verified, the bad ones refused, in memory where they fit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from cnn_jax.data.dataset import SPLIT_NAMES, Dataset, EncodedSource, Split, SplitName
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.lazy_images import LazyImages, map_in_threads, refuse_bad
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.sources import manifest
from cnn_jax.errors import UserError

BadRows = list[tuple[int, BadImageError]]


def read_examples(config: ConfigDict, source: EncodedSource, resize: ResizeSpec) -> Split:
    """All usable images of a source, held to `config.verify`: decoded, or to be streamed."""
    if config.verify:
        manifest.verify(source, Path(config.verify).expanduser())
    if config.train_crop:
        TrainCrop.parse(config.train_crop, config.image_size)  # a mistake shows before the work
    photos = LazyImages(source, np.arange(len(source)), resize, config.max_pixels)
    if is_streaming(config, photos):
        images, bad = None, find_bad(photos, config.skip_bad)
    else:
        images, bad = decode_good(photos)
    named = [(photos.name(row), str(error)) for row, error in bad]
    refuse_bad(named, len(photos), f"data.name={config.name!r}", config.skip_bad)
    good = np.setdiff1d(np.arange(len(photos)), [row for row, _ in bad])
    originals = photos.take(good)
    labels, ids = source.labels[good], good.astype(np.int32)
    return Split(originals if images is None else images, labels, ids, originals)


def is_streaming(config: ConfigDict, photos: LazyImages) -> bool:
    """As the config says, or, where it leaves it open, by size."""
    if config.train_crop and config.streaming is False:
        raise UserError(
            f"data.train_crop={config.train_crop!r} cuts from the photographs themselves, which "
            "data.streaming=False does not keep; choose data.streaming=True"
        )
    if config.streaming is not None:
        return config.streaming
    return bool(config.train_crop) or math.prod(photos.shape) > config.memory_megabytes * 1e6


def find_bad(photos: LazyImages, decode: bool) -> BadRows:
    """What is wrong with which: by the headers alone, the rest when it is their turn, or by all."""
    rows = range(len(photos))
    if decode:
        results = photos.decode_rows(rows, "decoding")
    else:
        results = map_in_threads(photos.header, rows, "reading headers")
    return [(row, image) for row, image in enumerate(results) if isinstance(image, BadImageError)]


def decode_good(photos: LazyImages) -> tuple[UInt8[np.ndarray, "n h w c"] | None, BadRows]:
    """(the images that can be decoded, or None; what is wrong with the others)."""
    images, bad = [], []
    for row, image in enumerate(photos.decode_rows(range(len(photos)), "decoding")):
        if isinstance(image, BadImageError):
            bad.append((row, image))
        else:
            images.append(image)
    return (np.stack(images) if images else None), bad


def check_readable(dataset: Dataset, but: SplitName | None = None) -> None:
    """Decodes every streamed image once; raises `UserError` naming the bad ones, with their split.

    Nobody should train for hours towards a test image that cannot be read. `but` is a split that
    is read whole anyway.
    """
    for name in reversed(SPLIT_NAMES):
        images = dataset.split(name).images
        if name != but and isinstance(images, LazyImages):
            bad = images.check_rows(f"reading {name}")
            refuse_bad(bad, len(images), f"data.name={dataset.name!r}, {name} split", skip=False)
