"""A streamed run that writes down which examples each of its processes trained on, and when.

The argument is FOLDER,WORKERS,LOG: a folder of images, a number of worker processes, and a folder
for the logs, one line a step: [step, ids]. Where LOG/stop holds a number, process 0 asks itself to
stop in that step.
"""

import json
import os
import signal
import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.loading.loaders import StreamLoader
from cnn_jax.data.loading.sampler import TrainSampler
from configs.base import base


def get_config(argument: str) -> ConfigDict:
    folder, workers, log = argument.split(",")
    config = base("logging", f"folder:{folder}", image_size=16)
    config.epochs, config.batch_size, config.log_every_steps = 4.0, 8, 0
    config.eval_every_epochs = 4.0
    config.model.update({"name": "perceptron"})
    config.data.streaming, config.data.workers = True, int(workers)
    config.data.train_crop = "random_resized_crop"
    write_down(Path(log))
    return config


def write_down(log: Path) -> None:
    """Makes every training loader of this process log what it hands out."""
    plain = StreamLoader.batch_at

    def batch_at(self, step):
        batch, index = plain(self, step), jax.process_index()
        if not isinstance(self.sampler, TrainSampler):
            return batch
        ids = np.concatenate([part.data for part in batch.examples["id"].addressable_shards])
        with open(log / f"{index}.jsonl", "a") as file:
            file.write(json.dumps([step, ids.tolist()]) + "\n")
        stop = log / "stop"
        if stop.exists() and step >= int(stop.read_text()):
            if index == 0 and step == int(stop.read_text()):
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3 * (jax.process_count() - 1))  # processes take a second to agree
        return batch

    if not hasattr(plain, "writes_down"):  # a config is loaded twice: to check its keys, and to run
        batch_at.writes_down = True
        StreamLoader.batch_at = batch_at
