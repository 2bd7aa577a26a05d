"""Batches decoded as they are needed, for sets that do not fit on a device: a pipeline of Grain.

Batch number `step` is a pure function of (seed, step), so that a run goes on in the middle of an
epoch with exactly the examples that remain, whatever the number of workers and processes.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
from collections.abc import Callable, Iterator

import jax
import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.lazy_images import bad_image
from cnn_jax.data.images.random_crops import TrainCrop, example_rng
from cnn_jax.data.images.resize import fit_channels
from cnn_jax.data.loading.sampler import batch_rows, evaluation_rows
from cnn_jax.errors import UserError

Examples = dict[str, np.ndarray]  # image uint8 [b, H, W, C], label [b], mask bool [b], id int32 [b]


@dataclasses.dataclass(frozen=True)
class ProcessShard:
    """Which part of every batch this process reads."""

    index: int = 0
    count: int = 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        size = len(rows) // self.count
        return rows[self.index * size : (self.index + 1) * size]


@dataclasses.dataclass(frozen=True)
class TrainBatches:
    """Batch number `step` of the endless stream of epochs; this process's share of it."""

    split: Split
    batch_size: int
    seed: int
    share: ProcessShard
    crop: TrainCrop | None = None

    def __call__(self, step: int) -> Examples:
        rows = batch_rows(self.seed, step, self.batch_size, len(self.split))
        return self.of_rows(self.share.of(rows), step)

    def of_rows(self, rows: np.ndarray, step: int) -> Examples:
        """The examples of these rows, cropped as in step `step`."""
        write = functools.partial(self.write_crop, step) if self.crop else self.split.read_into
        return examples(self.split, rows, np.ones(len(rows), bool), write)

    def write_crop(self, step: int, out: np.ndarray, row: int) -> None:
        photos = self.split.images
        random = example_rng(self.seed, step, int(self.split.ids[row]))
        image = self.crop(random, photos.original(row, self.crop.min_side), photos.fit.size)
        out[:] = fit_channels(image, photos.fit.channels)


@dataclasses.dataclass(frozen=True)
class PassBatches:
    """Batch number `step` of one pass in order; the last is filled up with masked examples."""

    split: Split
    batch_size: int
    share: ProcessShard

    def __call__(self, step: int) -> Examples:
        rows, mask = evaluation_rows(len(self.split), self.batch_size)[step]
        rows, mask = self.share.of(rows), self.share.of(mask)
        return examples(self.split, rows, mask, self.split.read_into)


@dataclasses.dataclass(frozen=True)
class ViewBatches:
    """As `PassBatches`, but an image is a tuple of its views uint8 [b, k, S, S, C], by size."""

    split: Split
    batch_size: int
    share: ProcessShard
    protocol: EvalProtocol

    def __call__(self, step: int) -> Examples:
        rows, mask = evaluation_rows(len(self.split), self.batch_size)[step]
        rows, mask = self.share.of(rows), self.share.of(mask)
        smallest = self.protocol.min_side
        views = [self.protocol(self.split.original(int(row), smallest)) for row in rows]
        return {
            "image": tuple(np.stack(same_size) for same_size in zip(*views, strict=True)),
            "label": self.split.labels[rows],
            "id": self.split.ids[rows],
            "mask": mask,
        }


def examples(
    split: Split, rows: np.ndarray, mask: np.ndarray, write: Callable[[np.ndarray, int], None]
) -> Examples:
    """A batch of `rows`, whose images `write` puts, one by one, where they belong."""
    images = np.empty((len(rows), *split.image_shape), np.uint8)
    for out, row in zip(images, rows, strict=True):
        try:
            write(out, int(row))
        except BadImageError as error:
            raise bad_image(split.images.name(int(row)), error) from error
    return {"image": images, "label": split.labels[rows], "id": split.ids[rows], "mask": mask}


def batches(
    of_step: TrainBatches | PassBatches | ViewBatches,
    first: int,
    last: int,
    workers: int,
    threads: int,
) -> Iterator[Examples]:
    """The batches of steps `first` to `last`, made ahead by threads, or by worker processes.

    Close it to end what reads ahead.
    """
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():  # Grain reads flags, also where no command line was parsed
        flags.FLAGS.mark_as_parsed()
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    stream = grain.MapDataset.range(first, last).map(of_step).to_iter_dataset(options)
    if workers:
        stream = stream.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
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
