"""The examples of a run that is killed and goes on, on any number of workers and processes.

Which example comes in which step, and how it is cropped, are functions of (seed, step, id): so what
a run sees does not depend on who reads it, nor on where it was stopped.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data import dataset
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.loading.sampler import BalancedSampler, TrainSampler
from cnn_jax.data.loading.stream import BatchReader, ProcessShard, read_ahead

SIZE = 8  # pixels of a crop
WITH_WORKERS = 0.03  # of the rounds: each starts processes, of seconds each
CROPS = ("random_resized_crop", "random_crop(9)", "scale_jitter(9, 12)")


class Photographs:
    """Images of different sizes, without files: `LazyImages` as far as a reader asks."""

    def __init__(self, count: int):
        draw = np.random.default_rng(count)
        sizes = draw.integers(10, 14, (count, 2))
        self.images = [draw.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
        self.resize = ResizeSpec(SIZE, "bilinear", 3)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), SIZE, SIZE, 3)

    def original(self, row: int, min_side: int = 0, then: Any = np.asarray) -> Any:
        return then(self.images[row])


def same_of(batches: list[dict[str, Any]]) -> str:
    """A hash of all examples, in order: ids and pixels."""
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(batch["id"].tobytes() + batch["image"].tobytes())
    return digest.hexdigest()


class Orders:
    """Each round is a run of random size, killed at random steps, read by random shards."""

    def __init__(self, folder: Path):
        del folder

    def round(self, choose: random.Random) -> str:
        processes, workers = choose.choice([1, 2, 4]), 0
        if choose.random() < WITH_WORKERS:
            processes, workers = choose.choice([1, 2]), choose.choice([1, 2, 4])
        count, batch_size = choose.randint(8, 60), processes * choose.randint(1, 5)
        epochs, seed = choose.randint(2, 4), choose.randrange(2**32)
        steps = -(-epochs * count // batch_size)
        balanced = choose.random() < 0.2
        labels = np.arange(count, dtype=np.int32) % 2
        ids = np.random.default_rng(seed).permutation(count).astype(np.int32) + 1000
        photos: Any = Photographs(count)
        split = dataset.Split(photos, labels, ids, photos)
        sampler: TrainSampler = TrainSampler(count, batch_size, steps, seed)
        if balanced:
            sampler = BalancedSampler(count, batch_size, steps, seed, labels)
        crop = TrainCrop.parse(choose.choice(CROPS), SIZE)

        def read(index: int, of: int, first: int, last: int, workers: int) -> list[dict[str, Any]]:
            reader = BatchReader(split, sampler, ProcessShard(index, of), crop, seed)
            return [*read_ahead(reader, first, last, workers, threads=2)]

        whole = read(0, 1, 0, steps, 0)
        most = 1 if workers else 3
        kills = sorted(choose.sample(range(1, steps), min(steps - 1, choose.randint(1, most))))
        found: list[dict[str, Any]] = []
        for first, last in zip([0, *kills], [*kills, steps], strict=True):
            ahead = min(steps, last + choose.randint(0, 3))  # read, and lost with the kill
            parts = [
                read(index, processes, first, ahead, workers)[: last - first]
                for index in range(processes)
            ]
            found += [
                {key: np.concatenate([part[key] for part in same]) for key in ("id", "image")}
                for same in zip(*parts, strict=True)
            ]
        what = f"{count} examples, batch {batch_size}, {processes} x {workers}, stopped at {kills}"
        if same_of(found) != same_of(whole):
            raise AssertionError(f"{what}: another order, or other crops")
        seen = np.concatenate([batch["id"] for batch in found])
        for epoch in range(epochs):
            of_epoch = sorted(seen[epoch * count :][:count])
            if not balanced and of_epoch != sorted(ids):
                raise AssertionError(f"{what}: epoch {epoch} is {of_epoch}")
        return f"{processes} processes, {workers} workers"
