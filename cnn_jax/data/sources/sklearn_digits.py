"""Real handwritten digits that come with scikit-learn: 1,797 images of 8x8, nothing to download.

Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998 (test part).
"""

from __future__ import annotations

import numpy as np

from cnn_jax.data.dataset import Task
from cnn_jax.data.images.resize import resize_images
from cnn_jax.data.sources.array_source import ArraySource

LARGEST_ANGLE = 45.0  # degrees


def digits() -> ArraySource:
    """The ten digits; the 17 grey levels are spread over 0 to 255."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    task = Task("classification", tuple(str(digit) for digit in range(10)))
    return ArraySource(task, images, data.target.astype(np.int32))


def digits_angle() -> ArraySource:
    """Each digit, enlarged to 32x32, turned by an angle from [-45, 45] degrees: predict the angle.

    The angle is positive when the digit was turned against the clock. Angles come from a fixed
    seed, one for each example.
    """
    from PIL import Image

    upright = resize_images(digits().images, 32, "bilinear")[..., 0]
    angles = np.random.RandomState(0).uniform(-LARGEST_ANGLE, LARGEST_ANGLE, len(upright))
    bilinear = Image.Resampling.BILINEAR
    rotated = [
        np.asarray(Image.fromarray(image).rotate(angle, bilinear))
        for image, angle in zip(upright, angles, strict=True)
    ]
    task = Task("regression", unit="degrees")
    return ArraySource(task, np.stack(rotated)[..., None], angles.astype(np.float32))
