"""From splits to what compiled steps read, batch after batch: a set on the device, or a stream."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

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
from cnn_jax.data.loading.sampler import epoch_order, evaluation_rows
from cnn_jax.data.loading.stream import (
    Examples,
    PassBatches,
    ProcessShard,
    TrainBatches,
    ViewBatches,
    batches,
)
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.sharding import Devices


class DeviceLoader:
    """Training batches of a split that lies on every device, with the orders of two epochs."""

    def __init__(self, split: Split, devices: Devices, clock: Clock, seed: int):
        self.devices, self.clock, self.seed = devices, clock, seed
        self.data = devices.replicate(DeviceDataset.of(split))
        self.epoch, self.source = -1, None

    def close(self) -> None:
        """Nothing runs ahead of the steps here."""

    def batch_at(self, step: int) -> TrainOrder:
        """What the step after `step` updates takes its batch from."""
        if (epoch := self.clock.epoch_of(step)) != self.epoch:
            orders = [epoch_order(self.seed, epoch + i, self.clock.examples) for i in range(2)]
            place = self.devices.replicate((np.int32(epoch), np.concatenate(orders)))
            self.epoch, self.source = epoch, TrainOrder(self.data, *place)
        return self.source


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How a stream is read: by so many threads, or processes of so many threads."""

    workers: int
    threads: int
    crop: TrainCrop | None = None


class StreamLoader:
    """Training batches decoded ahead of the step that needs them, each process its share."""

    def __init__(
        self, split: Split, devices: Devices, clock: Clock, seed: int, reading: ReadOptions
    ):
        self.devices, self.clock, self.reading = devices, clock, reading
        self.of_step = TrainBatches(split, clock.batch_size, seed, share(), reading.crop)
        self.next, self.stream = -1, batches(self.of_step, 0, 0, 0, 1)

    def close(self) -> None:
        """Ends what reads ahead."""
        self.stream.close()

    def batch_at(self, step: int) -> HostBatch:
        """What the step after `step` updates takes its batch from."""
        if step != self.next:
            self.close()
            reading, last = self.reading, max(self.clock.total_steps, step + 1)
            self.stream = batches(self.of_step, step, last, reading.workers, reading.threads)
        self.next = step + 1
        return given(next(self.stream), self.devices)


class StreamEvalLoader:
    """One pass over a streamed split, in order, or over the views that a protocol takes of any."""

    def __init__(
        self,
        split: Split,
        devices: Devices,
        batch_size: int,
        reading: ReadOptions,
        protocol: EvalProtocol | None = None,
    ):
        self.devices, self.reading = devices, reading
        if protocol is None:
            self.of_step = PassBatches(split, batch_size, share())
        else:
            self.of_step = ViewBatches(split, batch_size, share(), protocol)
        self.masks = [mask for _, mask in evaluation_rows(len(split), batch_size)]

    def __iter__(self) -> Iterator[tuple[BatchSource, np.ndarray]]:
        """(source of a batch, the mask bool [B] of the whole batch)."""
        reading, last = self.reading, len(self.masks)
        stream = batches(self.of_step, 0, last, reading.workers, reading.threads)
        for examples, mask in zip(stream, self.masks, strict=True):
            yield given(examples, self.devices), mask


def share() -> ProcessShard:
    return ProcessShard(jax.process_index(), jax.process_count())


def given(examples: Examples, devices: Devices) -> HostBatch:
    """This process's examples as its part of the batch over all devices."""
    place = functools.partial(jax.make_array_from_process_local_data, devices.split)
    return HostBatch(jax.tree.map(place, examples))


class DeviceEvalLoader:
    """One pass over a split on the devices, in order."""

    def __init__(self, split: Split, devices: Devices, batch_size: int):
        self.batches = evaluation_rows(len(split), batch_size)
        self.data = devices.replicate(DeviceDataset.of(split))

    def __iter__(self) -> Iterator[tuple[BatchSource, np.ndarray]]:
        """(source of a batch, its mask bool [B])."""
        for rows, mask in self.batches:
            yield EvalRows(self.data, rows, mask), mask
