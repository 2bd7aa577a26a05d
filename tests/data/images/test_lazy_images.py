"""Every image is read once before the training, and large ones one at a time."""

import threading
import time

import numpy as np
import pytest

from cnn_jax import train
from cnn_jax.data.images import lazy_images, room
from cnn_jax.data.images.lazy_images import LazyImages
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.sources.image_folder import list_folder
from cnn_jax.errors import UserError
from cnn_jax.training.experiment import make_experiment
from configs.base import base
from tests.support.folders import encoded, make, picture

SPLITS = ("train", "val", "test")


def run_of(root, **changes):
    config = base("test", f"folder:{root}", image_size=16)
    config.batch_size, config.devices, config.epochs = 8, 1, 1.0
    config.model.update({"name": "perceptron"})
    config.data.update({"streaming": True, "normalisation": "imagenet"} | changes)
    return config


def cut(path, count=200):
    """The file as a broken download leaves it: its header is whole."""
    path.write_bytes(path.read_bytes()[:-count])


@pytest.mark.parametrize("normalisation", ["imagenet", "per_channel"])
@pytest.mark.parametrize("split", SPLITS)
def test_a_file_that_cannot_be_read_is_named_before_the_training(tmp_path, split, normalisation):
    root = make(tmp_path / "images", {"a": 9, "b": 9}, splits=SPLITS)
    cut(root / split / "b/b_03.jpg")
    (root / split / "b/b_04.jpg").write_bytes(encoded(picture(1), "PNG")[:-300])
    folder = tmp_path / "run"
    with pytest.raises(UserError, match=rf"{split}\w* split: 2 of 18 files .*: {split}/b/b_03"):
        train.train_and_evaluate(run_of(root, normalisation=normalisation), str(folder))
    assert not folder.exists()


def test_a_run_that_goes_on_does_not_read_them_all_again(tmp_path):
    root = make(tmp_path / "images", {"a": 9, "b": 9}, splits=SPLITS)
    cut(root / "test/b/b_03.jpg")
    make_experiment(run_of(root), is_new_run=False, folder=tmp_path)
    with pytest.raises(UserError, match="test split: 1 of 18 files"):
        make_experiment(run_of(root), folder=tmp_path)


def test_large_images_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    """Each takes a dozen bytes a pixel on its way, and there are as many threads as cores."""
    source = list_folder(str(make(tmp_path, {"a": 4, "b": 4})))
    photos = LazyImages(source, np.arange(8), ResizeSpec(16, "bilinear", 3))
    under_way, most, decode = [], [], lazy_images.decode
    both = threading.Barrier(2, timeout=5)

    def slow(*arguments, **options):
        under_way.append(1)
        most.append(len(under_way))
        if len(most) == 1 and room.LARGE_PIXELS:
            both.wait()  # small ones go beside each other
        elif len(most) == 2 and room.LARGE_PIXELS:
            both.wait()
        time.sleep(0.01)
        found = decode(*arguments, **options)
        under_way.pop()
        return found

    monkeypatch.setattr(lazy_images, "decode", slow)
    monkeypatch.setattr(lazy_images.os, "sched_getaffinity", lambda _: range(4), raising=False)
    small = [*photos.decode_rows(range(8))]
    assert max(most) > 1
    monkeypatch.setattr(room, "LARGE_PIXELS", 0)
    most.clear()
    np.testing.assert_array_equal(small, [*photos.decode_rows(range(8))])
    assert most == [1] * 8
