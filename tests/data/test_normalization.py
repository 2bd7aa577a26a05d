"""What is computed over the training split: exact, once, and kept with the run."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.dataset import Task
from cnn_jax.data.images import lazy_images
from cnn_jax.data.normalization import FILE, InputStatistics, principal_colours
from cnn_jax.errors import UserError
from cnn_jax.train import train_and_evaluate
from cnn_jax.training.evaluation import evaluate_only
from configs.base import base
from tests.support.folders import make


@pytest.fixture
def config(tmp_path):
    root = make(tmp_path / "images", {"a": 12, "b": 12})
    config = base("test", f"folder:{root}", image_size=16)
    config.epochs, config.batch_size, config.devices = 0.5, 10, 1
    config.model.update({"name": "perceptron"})
    config.data.streaming = True
    config.data.normalisation = "per_pixel_mean"
    config.augment = ("pca_lighting",)
    return config


@pytest.fixture
def passes(monkeypatch):
    """How many images each pass over a split decoded."""
    counts, decode_rows = [], lazy_images.LazyImages.decode_rows

    def counted(self, rows, label=""):
        counts.append(len(rows))
        return decode_rows(self, rows, label)

    monkeypatch.setattr(lazy_images.LazyImages, "decode_rows", counted)
    return counts


@pytest.mark.heavy
def test_a_streamed_split_is_decoded_for_them_once_a_run(config, passes, tmp_path):
    folder = str(tmp_path / "run")
    report = train_and_evaluate(config, folder)
    assert passes == [20, 20]  # the mean image, and the colours
    kept = InputStatistics.read(tmp_path / "run")
    images = np.stack([*photos_of(config)]).astype(float)
    np.testing.assert_allclose(kept.shift, images.mean(0), rtol=1e-6)
    np.testing.assert_allclose(kept.scale, 1 / np.sqrt(images.var(0).mean()), rtol=1e-6)
    np.testing.assert_array_equal(kept.colours, principal_colours(np.uint8(images)))
    passes.clear()
    assert evaluate_only(config, folder) == report
    assert train_and_evaluate(config, folder) == report  # goes on from its end
    assert passes == []


def photos_of(config):
    from cnn_jax import data

    split = data.load(config.data).train
    return (split.images[row] for row in range(len(split)))


@pytest.mark.heavy
def test_what_is_kept_counts(config, tmp_path, monkeypatch):
    """A run that goes on, and an evaluation, see images as training did."""
    monkeypatch.setattr(InputStatistics, "digest", lambda self: "")  # or the change is refused
    config.augment = ()
    folder = tmp_path / "run"
    before = train_and_evaluate(config, str(folder))
    kept = InputStatistics.read(folder)
    InputStatistics(kept.shift, kept.scale * 0).write(folder)
    after = evaluate_only(config, str(folder))
    assert after["loss"] != before["loss"]
    assert json.loads((folder / "report.json").read_text())["loss"] == after["loss"]


class Code:
    """What a pickle can do: run anything when it is opened."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_constants_are_never_unpickled(tmp_path):
    np.savez(tmp_path / FILE, shift=np.array([Code(tmp_path / "opened")]), scale=np.ones(1))
    with pytest.raises(UserError, match=r"constants.npz is damaged \("):
        InputStatistics.read(tmp_path)
    assert not (tmp_path / "opened").exists()


def test_a_damaged_file_is_said_to_be(tmp_path):
    assert InputStatistics.read(tmp_path) is None
    InputStatistics(np.float32([1, 2]), np.float32(3)).write(tmp_path)
    again = InputStatistics.read(tmp_path)
    assert (again.shift.tolist(), again.scale.tolist(), again.colours) == ([1, 2], 3, None)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[content.index(np.float32(2).tobytes())] ^= 1
    for damaged in (bytes(content), content[:50], b""):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(UserError, match=r"constants.npz is damaged \(.*remove it, and it is "):
            InputStatistics.read(tmp_path)


@pytest.mark.heavy
def test_the_border_of_a_config_is_the_mean(config):
    statistics, shape = InputStatistics(np.float32([90, 120, 30]), np.float32(1)), (4, 4, 3)
    config.augment = ("cutout(99)",)
    arrays = jax.random.key(0), jnp.arange(2), jnp.full((2, *shape), 200.0), jnp.arange(2)
    for border, wanted in ((None, [0, 0, 0]), ("black", [0, 0, 0]), ("mean", [90, 120, 30])):
        config.augment_border = border
        found, _ = statistics.make_augment(config, shape, Task("classification", "ab"))(*arrays)
        assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [wanted]


def test_principal_colours_are_the_eigenvectors_of_the_covariance():
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3)) @ [
        [0.5, 0.3, 0.1],
        [0.2, 0.4, 0.2],
        [0, 0.1, 0.3],
    ]
    images = images.astype(np.uint8)
    found = principal_colours(images).astype(np.float64)
    covariance = np.cov(images.reshape(-1, 3).T / 255, bias=True)
    values = np.linalg.norm(found, axis=0) / 255
    vectors = found / (255 * values)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, covariance, atol=1e-7)
    grey = principal_colours(images[..., :1])
    np.testing.assert_allclose(abs(grey), 255 * images[..., :1].var() / 255**2, rtol=1e-5)
