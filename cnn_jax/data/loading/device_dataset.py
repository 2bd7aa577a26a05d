"""What a compiled step takes its batch from: rows of a set on the device, or examples as given."""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from cnn_jax.data.dataset import Split

Batch = dict[str, jax.Array]  # image uint8 [B, H, W, C], label [B], mask bool [B], id int32 [B]


class DeviceDataset(flax.struct.PyTreeNode):
    """A whole split on the device."""

    image: jax.Array  # uint8 [N, H, W, C]
    label: jax.Array  # int32 or float32 [N]
    id: jax.Array  # int32 [N]

    @classmethod
    def of(cls, split: Split) -> DeviceDataset:
        return cls(image=split.images, label=split.labels, id=split.ids)

    def batch(self, rows: jax.Array, mask: jax.Array) -> Batch:
        """The examples of `rows` int32 [B]; `mask` is False for rows that only fill the batch."""
        return {
            "image": self.image[rows],
            "label": self.label[rows],
            "id": self.id[rows],
            "mask": mask,
        }


class TrainOrder(flax.struct.PyTreeNode):
    """A resident split and the orders of two epochs: a batch may cross from one to the next."""

    data: DeviceDataset
    epoch: jax.Array  # int32, the first of the two
    rows: jax.Array  # int32 [2 N]

    def batch(self, step: jax.Array, batch_size: int, place: Callable) -> Batch:
        """Batch number `step` of the endless stream of epochs.

        Both products may wrap around in int32; their difference, under N, is right all the same.
        """
        start = step * batch_size - self.epoch * (self.rows.shape[0] // 2)
        rows = place(jax.lax.dynamic_slice(self.rows, (start,), (batch_size,)))
        return self.data.batch(rows, jnp.ones_like(rows, bool))


class EvalRows(flax.struct.PyTreeNode):
    """Rows of a resident split, as evaluation goes over them."""

    data: DeviceDataset
    rows: jax.Array  # int32 [B]
    mask: jax.Array  # bool [B]

    def batch(self, step: jax.Array, batch_size: int, place: Callable) -> Batch:
        del step, batch_size
        return self.data.batch(place(self.rows), self.mask)


class HostBatch(flax.struct.PyTreeNode):
    """The examples themselves, brought to the devices by a stream."""

    examples: Batch

    def batch(self, step: jax.Array, batch_size: int, place: Callable) -> Batch:
        del step, batch_size
        return jax.tree.map(place, self.examples)


BatchSource = TrainOrder | EvalRows | HostBatch
