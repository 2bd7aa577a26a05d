"""Which rows make which batch: of training, an endless stream of shuffled epochs; of evaluation,
one pass in order.

Made in NumPy from (seed, epoch) alone, so that whoever reads the stream sees the same examples: the
device for a set that lies on it, processes and workers for files.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Int32

Rows = Int32[np.ndarray, " b"]
Mask = Bool[np.ndarray, " b"]  # False for rows that only fill the batch


@functools.lru_cache(2)  # a batch may need two epochs; ImageNet's order takes 30 ms
def epoch_order(seed: int, epoch: int, examples: int) -> Int32[np.ndarray, " n"]:
    """The rows of one epoch, int32 [examples], each once.

    By `RandomState`, whose streams NumPy has promised never to change.
    """
    sequence = np.random.SeedSequence((seed % 2**64, epoch))
    order = np.random.RandomState(np.random.MT19937(sequence)).permutation(examples)
    order = order.astype(np.int32)
    order.setflags(write=False)
    return order


def batch_rows(seed: int, step: int, batch_size: int, examples: int) -> Rows:
    """The rows of batch number `step` of the stream, int32 [batch_size]."""
    first, rows = step * batch_size, []
    while sum(map(len, rows)) < batch_size:
        epoch, start = divmod(first + sum(map(len, rows)), examples)
        rows.append(epoch_order(seed, epoch, examples)[start:][:batch_size])
    return np.concatenate(rows)[:batch_size]


@dataclasses.dataclass(frozen=True)
class TrainSampler:
    """The epochs' orders one after another, cut into batches that may cross from one to the next.

    `num_batches` are as many as training takes; rows are there for any further step.
    """

    examples: int
    batch_size: int
    num_batches: int
    seed: int

    def epoch_at(self, step: int) -> int:
        """The epoch whose order holds the first example of batch number `step`."""
        return step * self.batch_size // self.examples

    def order(self, epoch: int) -> Int32[np.ndarray, " n"]:
        return epoch_order(self.seed, epoch, self.examples)

    def rows_at(self, step: int) -> tuple[Rows, Mask]:
        rows = batch_rows(self.seed, step, self.batch_size, self.examples)
        return rows, np.ones(len(rows), bool)


@dataclasses.dataclass(frozen=True)
class EvalSampler:
    """One pass in order; the last batch is filled up with masked rows."""

    examples: int
    batch_size: int

    @property
    def num_batches(self) -> int:
        return -(-self.examples // self.batch_size)

    def rows_at(self, step: int) -> tuple[Rows, Mask]:
        positions = np.arange(self.batch_size, dtype=np.int32) + np.int32(step * self.batch_size)
        return np.minimum(positions, self.examples - 1), positions < self.examples


Sampler = TrainSampler | EvalSampler
