"""Exact evaluation: every example of a split once, whatever the batch and the devices."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.loading.loaders import ReadOptions, eval_loader
from cnn_jax.runtime.sharding import Devices, UnderWay
from cnn_jax.training.train_state import TrainState


class Evaluator:
    """A split, and the compiled step that goes over it."""

    def __init__(
        self,
        split: Split,
        step: Callable,
        devices: Devices,
        batch_size: int,
        reading: ReadOptions,
        protocol: EvalProtocol | None = None,
    ):
        self.split, self.step, self.ahead = split, step, devices.ahead
        # No larger than the split, but the same for every device.
        size = devices.round_up(min(batch_size, max(len(split), 1)))
        if protocol is not None:
            size = devices.round_up(max(1, size // protocol.views))
        self.batches = eval_loader(split, devices, size, reading, protocol)

    def __call__(self, state: TrainState) -> dict[str, np.ndarray]:
        """Per-example arrays [N] in the order of the split: loss, label, id, prediction, ..."""
        found, masks, under_way = [], [], UnderWay(self.ahead)
        for source, mask in self.batches:
            found.append(self.step(state, source))
            masks.append(mask)
            under_way.add(found[-1])
        found, kept = jax.device_get(found), np.concatenate(masks)
        out = {name: np.concatenate([f[name] for f in found])[kept] for name in found[0]}
        if not np.array_equal(out["id"], self.split.ids):
            raise RuntimeError("evaluation did not see every example once")
        return out
