"""Batches decoded as they are needed, for sets that do not fit on a device: a pipeline of Grain.

Batch number `step` is a pure function of (seed, step), so that a run goes on in the middle of an
epoch with exactly the examples that remain, whatever the number of workers and processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Generator, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.dataset import Split
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.lazy_images import LazyImages, bad_image
from cnn_jax.data.images.random_crops import TrainCrop, example_rng
from cnn_jax.data.images.resize import convert_channels
from cnn_jax.data.loading.sampler import Mask, Rows, Sampler, TrainSampler
from cnn_jax.errors import UserError
from cnn_jax.runtime.process_exit import end_with_parent

# image uint8 [b, H, W, C], or a tuple of such, a size each; label [b], mask bool [b], id int32 [b];
# of training also epoch int32 [b]
Examples = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ProcessShard:
    """Which part of every batch this process reads."""

    index: int = 0
    count: int = 1

    def take(self, rows: np.ndarray) -> np.ndarray:
        size = len(rows) // self.count
        return rows[self.index * size : (self.index + 1) * size]


@dataclasses.dataclass(frozen=True)
class BatchReader:
    """Batch number `step` of a sampler, this process's shard of it; goes to workers by pickle.

    Images come as the split has them, as random crops of photographs, or as the views that a
    protocol takes of each: then "image" is a tuple of uint8 [b, k, S, S, C], by size.
    """

    split: Split
    sampler: Sampler
    shard: ProcessShard = ProcessShard()
    crop: TrainCrop | None = None
    crop_seed: int = 0
    protocol: EvalProtocol | None = None

    def __call__(self, step: int) -> Examples:
        rows, mask = self.sampler.rows_at(step)
        examples = self.read(self.shard.take(rows), self.shard.take(mask), step)
        if isinstance(self.sampler, TrainSampler):
            examples["epoch"] = self.shard.take(self.sampler.epochs_at(step))
        return examples

    def read(self, rows: Rows, mask: Mask, step: int) -> Examples:
        """The examples of these rows, cropped as in step `step`."""
        images = self.views(rows) if self.protocol else self.images(rows, step)
        labels, ids = self.split.labels[rows], self.split.ids[rows]
        return {"image": images, "label": labels, "id": ids, "mask": mask}

    def images(self, rows: Rows, step: int) -> UInt8[np.ndarray, "b h w c"]:
        """One image after another written to where it belongs."""
        images = np.empty((len(rows), *self.split.image_shape), np.uint8)
        for out, row in zip(images, rows, strict=True):
            with self.naming(int(row)):
                if self.crop is None:
                    self.split.read_into(out, int(row))
                else:
                    out[:] = self.cropped(self.crop, int(row), step)
        return images

    def cropped(self, crop: TrainCrop, row: int, step: int) -> UInt8[np.ndarray, "s s c"]:
        """The random crop of one photograph."""
        photos: LazyImages = self.split.images
        rng = example_rng(self.crop_seed, step, int(self.split.ids[row]))
        image = photos.original(
            row, crop.min_side, lambda photo: crop(rng, photo, photos.resize.size)
        )
        return convert_channels(image, photos.resize.channels)

    def views(self, rows: Rows) -> tuple[UInt8[np.ndarray, "b k _s _s c"], ...]:
        """The views of each image, together by size."""
        assert self.protocol is not None
        views = []
        for row in map(int, rows):
            with self.naming(row):
                min_side = self.protocol.min_side
                views.append(self.split.original(row, min_side, self.protocol))
        return tuple(np.stack(same_size) for same_size in zip(*views, strict=True))

    @contextlib.contextmanager
    def naming(self, row: int) -> Iterator[None]:
        """Says which file it is that turns out bad."""
        try:
            yield
        except BadImageError as error:
            images = self.split.images if self.split.originals is None else self.split.originals
            raise bad_image(images.name(row), error) from error


def read_ahead(
    reader: BatchReader, first: int, last: int, workers: int, threads: int
) -> Generator[Examples, None, None]:
    """The batches of steps `first` to `last`, made ahead by threads, or by worker processes.

    Close it to end what reads ahead.
    """
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():  # Grain reads flags, also where no command line was parsed
        flags.FLAGS.mark_as_parsed()
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    stream = grain.MapDataset.range(first, last).map(reader).to_iter_dataset(options)
    if workers:
        stream = stream.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2),
            worker_init_fn=end_with_parent,
        )
    stream = iter(stream)
    try:
        for batch in stream:
            yield jax.tree.map(np.array, batch) if workers else batch  # out of the shared memory
    except UserError as error:
        raise error.with_traceback(None) from None
    finally:
        stream.close()
        if workers:  # exceptions of Grain's threads hold their last batches in shared memory
            batch = None
            gc.collect()
