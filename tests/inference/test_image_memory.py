"""Memory does not grow with the number of images that a net is shown."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.inference import loaded_net
from tests.support.random_net import random_net

# What a command does, and the most memory that it held by then, in MB.
PREDICT = """
import sys
from pathlib import Path
from cnn_jax.inference.image_stream import find_images
from cnn_jax.runtime.malloc import retain_freed_memory
retain_freed_memory()
from tests.support.random_net import random_net

def peak():
    held = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return int(held.split()[0]) // 1024

net, done, early = random_net("resnet18", 64), 0, 0
for part in net.predict_batches(find_images(sys.argv[1]), {}):
    done += len(part)
    early = early or (peak() if done >= 256 else 0)
print(done, early, peak())
"""


def write_photographs(folder, count, different=64):
    """JPEGs of several sizes, many of them links to one file."""
    random = np.random.RandomState(0)
    for i in range(different):
        small = random.randint(0, 256, (9, 12, 3), np.uint8)
        size = (200 + 3 * i, 150 + 2 * i)
        Image.fromarray(small).resize(size, Image.Resampling.BILINEAR).save(folder / f"{i:05}.jpg")
    for i in range(different, count):
        os.link(folder / f"{i % different:05}.jpg", folder / f"{i:05}.jpg")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells of memory")
def test_memory_is_flat_over_thousands_of_images(tmp_path):
    write_photographs(tmp_path, 10_000)
    lines = subprocess.run(
        [sys.executable, "-c", PREDICT, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"XLA_FLAGS": ""},
    ).stdout
    done, early, late = map(int, lines.split())
    assert done == 10_000
    assert late - early < 160, lines  # two batches' temporary values, of 69 MB each


@pytest.mark.heavy
def test_freed_memory_is_given_back_after_compilation_and_at_times(monkeypatch):
    calls = []
    monkeypatch.setattr(loaded_net, "give_freed_memory_back", lambda: calls.append(len(done)))
    monkeypatch.setattr(loaded_net, "TRIM_EVERY", 12)
    net, done = random_net("mlp", 8), []
    images = np.zeros((40, 8, 8, 1), np.uint8)
    for part in net.predict_batches(loaded_net.find_images(images), {}, batch_size=4):
        done += part.names
    assert len(done) == 40
    assert calls == [0, 8, 20, 32]  # after the first batch of 4, and every third; one is ahead
