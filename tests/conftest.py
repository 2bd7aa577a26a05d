"""Tests run on eight devices that share this machine's processor; most use the first alone."""

import gc
import os
import shutil
import tempfile
from pathlib import Path

from tests.support.quick_compilation import xla_flags

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " " + xla_flags(devices=8)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import pytest
from absl import logging

from cnn_jax.runtime import report_pictures
from configs.base import base

# Runs of the same config share their programs: most of a tiny run is compilation.
IS_OWN_CACHE = "CNN_JAX_TEST_CACHE" not in os.environ  # so it is in the first process alone
if IS_OWN_CACHE:
    os.environ["CNN_JAX_TEST_CACHE"] = tempfile.mkdtemp(prefix="cnn_jax_test_cache_")
CACHE = os.environ["CNN_JAX_TEST_CACHE"]
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE  # for programs that tests start
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
logging.set_verbosity(logging.WARNING)
jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_numpy_rank_promotion", "raise")  # [C] beside [B, H, W, C] is written out

# Real data sets, where they are at hand: a folder with mnist/, cifar10/, ...
DATA_DIR = Path(os.environ.get("CNN_JAX_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def real_data():
    """The folder of real data sets; skips, saying so, where there is none."""
    if not (DATA_DIR / "mnist").is_dir():
        pytest.skip(f"no data sets in {DATA_DIR}: set CNN_JAX_DATA to a folder with mnist/, ...")
    return DATA_DIR


def leave_blank(*arguments, **options):
    """An empty file at the path among the arguments of a `draw_...`."""
    [out] = {place for place in arguments if isinstance(place, Path) and place.suffix == ".png"}
    out.touch()


@pytest.fixture(autouse=True)
def blank_pictures(request, monkeypatch):
    """The pictures of a run are empty files, half the time of a tiny one, but where `draws`."""
    if request.node.get_closest_marker("draws") is None:
        for name in ("draw_curves", "draw_confusion", "draw_top_losses"):
            monkeypatch.setattr(report_pictures, name, leave_blank)


@pytest.fixture
def tiny():
    """A config that trains in a second: an MLP with BatchNorm and dropout on 8x8 digits."""
    config = base("tiny", "digits", image_size=8)
    config.epochs = 2.0
    config.batch_size = 256
    config.devices = 1
    config.log_every_steps = 3
    config.model.name = "mlp"
    config.model.hidden = (16,)
    config.model.norm = "batch"
    config.model.dropout = 0.2
    return config


def pytest_collection_finish():
    """Tracing makes millions of small objects; looking through them is a tenth of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_unconfigure():
    if IS_OWN_CACHE:
        shutil.rmtree(CACHE, ignore_errors=True)
