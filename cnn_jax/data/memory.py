"""Small sets on the device: uint8 once, then order, batches and augmentation in compiled code."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.dataset import Split

Batch = dict[str, jax.Array]  # image uint8 [B, H, W, C], label [B], mask bool [B], id int32 [B]


class Resident(flax.struct.PyTreeNode):
    """A whole split on the device."""

    image: jax.Array  # uint8 [N, H, W, C]
    label: jax.Array  # int32 or float32 [N]
    id: jax.Array  # int32 [N]

    @classmethod
    def of(cls, split: Split) -> Resident:
        return cls(image=split.images, label=split.labels, id=split.ids)

    def batch(self, rows: jax.Array, mask: jax.Array) -> Batch:
        """The examples of `rows` int32 [B]; `mask` is False for rows that only fill the batch."""
        return {
            "image": self.image[rows],
            "label": self.label[rows],
            "id": self.id[rows],
            "mask": mask,
        }


class Order(flax.struct.PyTreeNode):
    """The orders of two epochs, one after the other: a batch may cross from one to the next."""

    epoch: jax.Array  # int32, the first of the two
    rows: jax.Array  # int32 [2 N]

    def batch_rows(self, step: jax.Array, batch_size: int) -> jax.Array:
        """The rows of batch number `step` of the endless stream of epochs, int32 [batch_size].

        Both products may wrap around in int32; their difference, under N, is right all the same.
        """
        start = step * batch_size - self.epoch * (self.rows.shape[0] // 2)
        return jax.lax.dynamic_slice(self.rows, (start,), (batch_size,))


def make_order(key: jax.Array, epoch: jax.Array, examples: int) -> Order:
    """The orders of `epoch` and the one after; each depends on (key, its number) alone."""
    orders = [
        jax.random.permutation(jax.random.fold_in(key, epoch + i), examples) for i in range(2)
    ]
    return Order(epoch=jnp.int32(epoch), rows=jnp.concatenate(orders).astype(jnp.int32))


def evaluation_rows(examples: int, batch_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows, mask) of each batch of one pass in order; the last is filled up with masked rows."""
    positions = np.arange(-(-examples // batch_size) * batch_size, dtype=np.int32)
    rows, mask = np.minimum(positions, examples - 1), positions < examples
    return list(zip(rows.reshape(-1, batch_size), mask.reshape(-1, batch_size), strict=True))
