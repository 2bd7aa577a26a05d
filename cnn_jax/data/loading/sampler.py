"""The order of training: an endless stream of epochs, one permutation each, cut into batches.

Made in NumPy from (seed, epoch) alone, so that whoever reads the stream sees the same examples: the
device for a set that lies on it, processes and workers for files.
"""

from __future__ import annotations

import functools

import numpy as np


@functools.lru_cache(2)  # a batch may need two epochs; ImageNet's order takes 30 ms
def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """The rows of one epoch, int32 [examples], each once.

    By `RandomState`, whose streams NumPy has promised never to change.
    """
    sequence = np.random.SeedSequence((seed % 2**64, epoch))
    order = np.random.RandomState(np.random.MT19937(sequence)).permutation(examples)
    order = order.astype(np.int32)
    order.setflags(write=False)
    return order


def batch_rows(seed: int, step: int, batch_size: int, examples: int) -> np.ndarray:
    """The rows of batch number `step` of the stream, int32 [batch_size]."""
    first, rows = step * batch_size, []
    while sum(map(len, rows)) < batch_size:
        epoch, start = divmod(first + sum(map(len, rows)), examples)
        rows.append(epoch_order(seed, epoch, examples)[start:][:batch_size])
    return np.concatenate(rows)[:batch_size]


def evaluation_rows(examples: int, batch_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows, mask) of each batch of one pass in order; the last is filled up with masked rows."""
    positions = np.arange(-(-examples // batch_size) * batch_size, dtype=np.int32)
    rows, mask = np.minimum(positions, examples - 1), positions < examples
    return list(zip(rows.reshape(-1, batch_size), mask.reshape(-1, batch_size), strict=True))
