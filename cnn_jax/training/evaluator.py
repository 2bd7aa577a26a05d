"""Exact evaluation: every example of a split once, whatever the batch and the devices."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.loading.loaders import ReadOptions, eval_loader
from cnn_jax.runtime.sharding import Devices, InFlight
from cnn_jax.training.eval_step import OUTPUTS
from cnn_jax.training.train_state import TrainState


class Evaluator:
    """A split, and the compiled step that goes over it."""

    def __init__(
        self,
        split: Split,
        step: Callable,
        devices: Devices,
        batch_size: int,
        read_options: ReadOptions,
        protocol: EvalProtocol | None = None,
    ):
        self.split, self.step, self.max_in_flight = split, step, devices.max_in_flight
        # No larger than the split, but the same for every device.
        size = devices.round_up(min(batch_size, max(len(split), 1)))
        if protocol is not None:
            size = devices.round_up(max(1, size // protocol.views))
        self.batches = eval_loader(split, devices, size, read_options, protocol)

    def __call__(
        self,
        state: TrainState,
        after_batch: Callable[[], None] = lambda: None,
        keep_outputs: bool = False,
    ) -> dict[str, np.ndarray]:
        """Per-example arrays [N] in the order of the split: loss, label, id, prediction, ...

        Also the net's outputs [N, K] with `keep_outputs`. `after_batch` may end it by an exception.
        """
        results, masks, in_flight = [], [], InFlight(self.max_in_flight)
        for source, mask in self.batches:
            result = self.step(state, source)
            if not keep_outputs:
                del result[OUTPUTS]
            results.append(result)
            masks.append(mask)
            in_flight.add(results[-1])
            after_batch()
        results, mask = jax.device_get(results), np.concatenate(masks)
        examples = {
            name: np.concatenate([result[name] for result in results])[mask] for name in results[0]
        }
        if not np.array_equal(examples["id"], self.split.ids):
            raise RuntimeError("evaluation did not see every example once")
        return examples
