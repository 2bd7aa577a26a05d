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

SAMPLERS = ("shuffled", "balanced")
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


def balanced_order(
    seed: int, epoch: int, labels: Int32[np.ndarray, " n"]
) -> Int32[np.ndarray, " n"]:
    """The rows of one epoch, int32 [N]: N // K of each class that there is, and one more of some.

    The rest goes around the classes from epoch to epoch. Of a class each example comes as often as
    any other, or once more; of one that is too large a part is drawn anew every epoch.
    """
    sequence = np.random.SeedSequence((seed % 2**64, epoch))
    draw = np.random.RandomState(np.random.MT19937(sequence))
    present = np.unique(labels)
    share, rest = divmod(len(labels), len(present))
    extra = {(epoch * rest + i) % len(present) for i in range(rest)}
    rows = []
    for i, label in enumerate(present):
        own, count = np.flatnonzero(labels == label), share + (i in extra)
        whole, part = divmod(count, len(own))
        rows += [*[own] * whole, draw.permutation(own)[:part]]
    order = draw.permutation(np.concatenate(rows)).astype(np.int32)
    order.setflags(write=False)
    return order


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

    def epochs_at(self, step: int) -> Rows:
        """The epoch of each example of batch number `step`."""
        return ((step * self.batch_size + np.arange(self.batch_size)) // self.examples).astype(
            np.int32
        )

    def order(self, epoch: int) -> Int32[np.ndarray, " n"]:
        return epoch_order(self.seed, epoch, self.examples)

    def rows_at(self, step: int) -> tuple[Rows, Mask]:
        first, rows, count = step * self.batch_size, [], 0
        while count < self.batch_size:
            epoch, start = divmod(first + count, self.examples)
            rows.append(self.order(epoch)[start:][: self.batch_size - count])
            count += len(rows[-1])
        return np.concatenate(rows), np.ones(count, bool)


@dataclasses.dataclass(frozen=True, eq=False)
class BalancedSampler(TrainSampler):
    """Epochs of as many examples, in which all classes have as many: `balanced_order`."""

    labels: Int32[np.ndarray, " n"]
    orders: dict[int, Int32[np.ndarray, " n"]] = dataclasses.field(default_factory=dict)

    def order(self, epoch: int) -> Int32[np.ndarray, " n"]:
        found = self.orders.get(epoch)
        if found is None:
            found = balanced_order(self.seed, epoch, self.labels)
            if len(self.orders) > 1:  # a batch may need two epochs
                self.orders.pop(min(self.orders), None)
            self.orders[epoch] = found
        return found


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
