"""What is said of a dataset that does not go with the net."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.training.dataset_checks import FIRST, lost_colour
from configs.base import base
from tests.support import folders


def config_of(channels):
    config = base("any", "digits", image_size=8)
    config.data.channels = channels
    return config


def of_array(images):
    return SimpleNamespace(train=data.Split(images, np.zeros(len(images)), np.arange(len(images))))


@pytest.mark.parametrize(
    ("channels", "place", "is_said"), [(1, 0, True), (1, FIRST, False), (3, 0, False)]
)
def test_colours_that_become_grey_are_said(channels, place, is_said):
    images = np.zeros((FIRST + 1, 8, 8, 3), np.uint8)
    images[place, 3, 4, 1] = 9
    said = lost_colour(config_of(channels), of_array(images))
    assert bool(said) is is_said
    assert lost_colour(config_of(1), of_array(images[..., :1])) == []


def test_colours_of_a_folder_are_seen_and_a_damaged_file_is_none(tmp_path):
    """Its images are noise in three colours, and then the first of training is cut off."""
    folders.make(tmp_path, {"a": 6, "b": 6})
    config = folders.config_of(tmp_path)
    config.data.channels = 1
    dataset = data.load(config.data)
    assert lost_colour(config, dataset)
    first = tmp_path / dataset.train.originals.name(0)
    first.write_bytes(first.read_bytes()[:200])
    assert lost_colour(config, dataset)
