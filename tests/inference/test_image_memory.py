"""Memory does not grow with the number of images that a net is shown."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnn_jax.inference import loaded_net
from tests.support.commands import ROOT
from tests.support.random_net import random_net


def write_photographs(folder, count, different=64):
    """JPEGs of 256 pixels, many of them links to one file."""
    random = np.random.RandomState(0)
    for i in range(different):
        small = Image.fromarray(random.randint(0, 256, (64, 64, 3), np.uint8))
        small.resize((256, 256), Image.Resampling.BILINEAR).save(folder / f"{i:05}.jpg")
    for i in range(different, count):
        os.link(folder / f"{i % different:05}.jpg", folder / f"{i:05}.jpg")


def peak_memory(*words):
    """The most MB that a command has held; what it prints goes to nobody."""
    hidden = ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")  # of the tests
    own = {key: value for key, value in os.environ.items() if key not in hidden}
    command = [sys.executable, "-m", *map(str, words)]
    process = subprocess.Popen(command, env=own, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss // 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap, and kB in ru_maxrss")
def test_memory_is_flat_over_thousands_of_images(tmp_path):
    """Of a net that takes 69 MB for a batch: a heap that is cut up grows by as much at times."""
    config = ["--config=resnet18", "--config.data.image_size=64", "--config.data.channels=3"]
    peak_memory("cnn_jax.main", *config, "--config.epochs=0.05", f"--workdir={tmp_path / 'run'}")
    for name, count in (("batch", 64), ("many", 5000)):
        (tmp_path / name).mkdir()
        write_photographs(tmp_path / name, count)
    predict = ["cnn_jax.tools.predict", f"--workdir={tmp_path / 'run'}", "--top=1"]
    batch, many = (peak_memory(*predict, tmp_path / name) for name in ("batch", "many"))
    assert many - batch < 130


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
