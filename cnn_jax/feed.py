"""From splits to what compiled steps read, batch after batch: a set on the device, or a stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnn_jax.clock import Clock
from cnn_jax.data.dataset import Split
from cnn_jax.data.memory import Resident, Rows, Shuffled, Source
from cnn_jax.data.order import epoch_order, evaluation_rows
from cnn_jax.parallel import Devices


class ResidentFeed:
    """Training batches of a split that lies on every device, with the orders of two epochs."""

    def __init__(self, split: Split, devices: Devices, clock: Clock, seed: int):
        self.devices, self.clock, self.seed = devices, clock, seed
        self.data = devices.replicate(Resident.of(split))
        self.epoch, self.source = -1, None

    def at(self, step: int) -> Shuffled:
        """What the step after `step` updates takes its batch from."""
        if (epoch := self.clock.epoch_of(step)) != self.epoch:
            orders = [epoch_order(self.seed, epoch + i, self.clock.examples) for i in range(2)]
            place = self.devices.replicate((np.int32(epoch), np.concatenate(orders)))
            self.epoch, self.source = epoch, Shuffled(self.data, *place)
        return self.source


class ResidentPass:
    """One pass over a split on the devices, in order."""

    def __init__(self, split: Split, devices: Devices, batch_size: int):
        self.batches = evaluation_rows(len(split), batch_size)
        self.data = devices.replicate(Resident.of(split))

    def __iter__(self) -> Iterator[tuple[Source, np.ndarray]]:
        """(source of a batch, its mask bool [B])."""
        for rows, mask in self.batches:
            yield Rows(self.data, rows, mask), mask
