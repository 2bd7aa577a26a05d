"""The benchmark of whole trainings: its views by NumPy, and a small race."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import speedrun
from cnn_jax.cli import load_open_config


def test_six_views_are_weighted_as_the_author_does():
    random = np.random.RandomState(0)
    images = random.randn(2, 5, 5, 1).astype(np.float32)
    weights = random.randn(25, 3).astype(np.float32)
    logits = lambda x: np.asarray(x).reshape(len(x), -1) @ weights  # noqa: E731
    found = speedrun.shifted_logits(logits, jnp.asarray(images), 1)
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect")
    views = [images, padded[:, :5, :5], padded[:, 2:, 2:]]
    mirrored = [view[:, :, ::-1] for view in views]
    shares = (0.25, 0.125, 0.125)  # of a view, and of its mirror image
    pairs = zip(shares, views, mirrored, strict=True)
    wanted = sum(share * (logits(a) + logits(b)) for share, a, b in pairs)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_interval_is_students():
    low, high = speedrun.interval([1.0, 2.0, 3.0])
    np.testing.assert_allclose([low, high], [2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5], rtol=1e-5)


@pytest.mark.slow
def test_a_small_race_writes_a_line_a_run(tmp_path):
    config = load_open_config("speedrun:94:digits")
    with config.unlocked():
        config.model.width, config.batch_size, config.data.image_size = 4, 64, 16
        config.dtype, config.epochs, config.schedule.warmup_epochs = "float32", 4.0, 0.9
    found = speedrun.measure(config, 2, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    assert [row["accuracy"] for row in rows] == [run["accuracy"] for run in found]
    assert min(run["accuracy"] for run in found) > 20  # chance is 10
    assert found[0]["accuracy"] != found[1]["accuracy"]
    assert "95 % interval" in speedrun.summary(config, found)
