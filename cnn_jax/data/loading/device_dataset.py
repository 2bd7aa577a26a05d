"""What a compiled step takes its batch from: rows of a set on the device, or examples as given."""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, UInt8

from cnn_jax.data.dataset import Split

AnyArray = Array | np.ndarray  # NumPy's before it is put on a device
Shard = Callable[[jax.Array], jax.Array]  # divides the leading axis over the devices
# image uint8 [B, H, W, C], label [B], mask bool [B], id int32 [B]; of training epoch int32 [B]
Batch = dict[str, jax.Array]


class DeviceDataset(flax.struct.PyTreeNode):
    """A whole split on the device."""

    image: UInt8[AnyArray, "n h w c"]
    label: Int32[AnyArray, " n"] | Float32[AnyArray, " n"]
    id: Int32[AnyArray, " n"]

    @classmethod
    def of(cls, split: Split) -> DeviceDataset:
        return cls(image=split.images, label=split.labels, id=split.ids)

    def batch(self, rows: Int32[Array, " b"], mask: Bool[Array, " b"]) -> Batch:
        """The examples of `rows`; `mask` is False for rows that only fill the batch."""
        return {
            "image": self.image[rows],
            "label": self.label[rows],
            "id": self.id[rows],
            "mask": mask,
        }


class TrainOrder(flax.struct.PyTreeNode):
    """A split on the device, and the orders of two epochs: a batch may cross into the next."""

    data: DeviceDataset
    epoch: Int32[Array, ""]  # the first of the two
    rows: Int32[Array, " two_n"]

    def batch(self, step: jax.Array, batch_size: int, shard: Shard) -> Batch:
        """Batch number `step` of the endless stream of epochs.

        Both products may wrap around in int32; their difference, under N, is right all the same.
        """
        start = step * batch_size - self.epoch * (self.rows.shape[0] // 2)
        rows = shard(jax.lax.dynamic_slice(self.rows, (start,), (batch_size,)))
        is_next = start + jnp.arange(batch_size) >= self.rows.shape[0] // 2
        epochs = shard(self.epoch + is_next.astype(jnp.int32))
        return {**self.data.batch(rows, jnp.ones_like(rows, bool)), "epoch": epochs}


class EvalRows(flax.struct.PyTreeNode):
    """Rows of a split on the device, as evaluation goes over them."""

    data: DeviceDataset
    rows: Int32[AnyArray, " b"]
    mask: Bool[AnyArray, " b"]

    def batch(self, step: jax.Array, batch_size: int, shard: Shard) -> Batch:
        del step, batch_size
        return self.data.batch(shard(jnp.asarray(self.rows)), jnp.asarray(self.mask))


class HostBatch(flax.struct.PyTreeNode):
    """The examples themselves, brought to the devices by a stream."""

    examples: Batch

    def batch(self, step: jax.Array, batch_size: int, shard: Shard) -> Batch:
        del step, batch_size
        return jax.tree.map(shard, self.examples)


BatchSource = TrainOrder | EvalRows | HostBatch
