"""Resizing is bounded by the size of the net, whatever the shape of the image."""

import tracemalloc

import numpy as np
import pytest

from cnn_jax.data.images import random_crops, resize
from configs.base import base


@pytest.mark.parametrize("shape", [(2_000, 1, 3), (2, 4_000, 3)])
def test_a_thin_image_is_cut_before_it_is_enlarged(shape):
    image = np.zeros(shape, np.uint8)
    image[shape[0] // 2 - 3 : shape[0] // 2 + 3, shape[1] // 2 - 3 : shape[1] // 2 + 3] = 200
    tracemalloc.start()
    try:
        found = resize.ResizeSpec(224, "crop", 3, 256)(image)
        drawn = random_crops.scale_jitter(np.random.RandomState(0), image, 224)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.shape == drawn.shape == (224, 224, 3)
    assert (found == 200).all()
    assert most < 50e6


def test_an_image_of_usual_shape_and_one_that_shrinks_stay_whole():
    for height, width, side, wanted in ((10, 80, 20, 160), (64, 6400, 32, 3200)):
        image = np.zeros((height, width, 3), np.uint8)
        assert resize.resize_shorter(image, side).shape == (side, wanted, 3)


def test_the_side_before_the_crop():
    """A multiple of the input, so many pixels more (EfficientNet's code: 32), or as it is said."""
    config = base("x", "folder:f", image_size=380).data
    assert resize.ResizeSpec.of(config).resize == 434
    config.resize_margin = 32
    assert resize.ResizeSpec.of(config).resize == 412
    config.resize = 400
    assert resize.ResizeSpec.of(config).resize == 400
