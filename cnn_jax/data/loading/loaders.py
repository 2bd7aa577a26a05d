"""From a split to what compiled steps read, batch after batch: a set on the device, or a stream."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Generator, Iterator
from typing import Protocol

import jax
import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.loading.device_dataset import (
    BatchSource,
    DeviceDataset,
    EvalRows,
    HostBatch,
    TrainOrder,
)
from cnn_jax.data.loading.sampler import (
    BalancedSampler,
    EvalSampler,
    Mask,
    Sampler,
    TrainSampler,
)
from cnn_jax.data.loading.stream import BatchReader, Examples, ProcessShard, read_ahead
from cnn_jax.runtime.sharding import Devices


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How a stream is read: by so many threads, or processes of so many threads."""

    workers: int
    threads: int
    crop: TrainCrop | None = None  # of training


class Loader(Protocol):
    """Batches by their number, for training and evaluation alike."""

    sampler: Sampler

    def batch_at(self, step: int) -> BatchSource:
        """What the step after `step` updates takes its batch from."""
        ...

    def close(self) -> None:
        """Ends what reads ahead."""
        ...

    def __iter__(self) -> Iterator[tuple[BatchSource, Mask]]:
        """One pass: (source of a batch, the mask bool [B] of the whole batch)."""
        try:
            for step in range(self.sampler.num_batches):
                yield self.batch_at(step), self.sampler.rows_at(step)[1]
        finally:
            self.close()


class DeviceLoader(Loader):
    """Batches of a split that lies on every device; of training, with the orders of two epochs."""

    def __init__(self, split: Split, sampler: Sampler, devices: Devices):
        self.sampler, self.devices = sampler, devices
        self.data = devices.replicate(DeviceDataset.of(split))
        self.epoch, self.order = -1, None

    def batch_at(self, step: int) -> TrainOrder | EvalRows:
        if isinstance(self.sampler, TrainSampler):
            return self.order_at(self.sampler.epoch_at(step), self.sampler)
        return EvalRows(self.data, *self.sampler.rows_at(step))

    def order_at(self, epoch: int, sampler: TrainSampler) -> TrainOrder:
        if self.order is None or epoch != self.epoch:
            rows = np.concatenate([sampler.order(epoch), sampler.order(epoch + 1)])
            self.epoch = epoch
            self.order = TrainOrder(self.data, *self.devices.replicate((np.int32(epoch), rows)))
        return self.order

    def close(self) -> None:
        """Nothing runs ahead of the steps here."""


class StreamLoader(Loader):
    """Batches decoded ahead of the step that needs them, each process its shard."""

    def __init__(
        self,
        split: Split,
        sampler: Sampler,
        devices: Devices,
        options: ReadOptions,
        protocol: EvalProtocol | None = None,
    ):
        self.sampler, self.devices, self.options = sampler, devices, options
        shard = ProcessShard(jax.process_index(), jax.process_count())
        if isinstance(sampler, TrainSampler):
            self.reader = BatchReader(split, sampler, shard, options.crop, sampler.seed)
        else:
            self.reader = BatchReader(split, sampler, shard, protocol=protocol)
        self.next_step, self.end, self.stream = -1, 0, None

    def batch_at(self, step: int) -> HostBatch:
        if self.stream is None or step != self.next_step or step >= self.end:
            self.stream = self.open(step)
        self.next_step = step + 1
        return self.on_devices(next(self.stream))

    def open(self, step: int) -> Generator[Examples, None, None]:
        """The stream from `step` on; ends the one before."""
        self.close()
        # A dry run takes two steps even where the run has one.
        self.end, options = max(self.sampler.num_batches, step + 1), self.options
        return read_ahead(self.reader, step, self.end, options.workers, options.threads)

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.stream = None

    def on_devices(self, examples: Examples) -> HostBatch:
        """This process's examples as its part of the batch over all devices."""
        place = functools.partial(
            jax.make_array_from_process_local_data, self.devices.batch_sharding
        )
        return HostBatch(jax.tree.map(place, examples))


def train_loader(
    split: Split,
    devices: Devices,
    batch_size: int,
    num_batches: int,
    seed: int,
    options: ReadOptions,
    balanced: bool = False,
) -> Loader:
    """The batches of training, from any step on; `balanced` over the classes, or each row once."""
    sampler = TrainSampler(len(split), batch_size, num_batches, seed)
    if balanced:
        sampler = BalancedSampler(len(split), batch_size, num_batches, seed, split.labels)
    if split.in_memory:
        return DeviceLoader(split, sampler, devices)
    return StreamLoader(split, sampler, devices, options)


def eval_loader(
    split: Split,
    devices: Devices,
    batch_size: int,
    options: ReadOptions,
    protocol: EvalProtocol | None = None,
) -> Loader:
    """One pass over a split, in order, or over the views that a protocol takes of any split."""
    sampler = EvalSampler(len(split), batch_size)
    if split.in_memory and protocol is None:
        return DeviceLoader(split, sampler, devices)
    return StreamLoader(split, sampler, devices, options, protocol)
