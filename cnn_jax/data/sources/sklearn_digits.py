"""Real handwritten digits that come with scikit-learn: 1,797 images of 8x8, nothing to download.

Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998 (test part).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from jaxtyping import Int

from cnn_jax.data.dataset import Task
from cnn_jax.data.images.resize import resize_images
from cnn_jax.data.sources.array_source import ArraySource

LARGEST_ANGLE = 45.0  # degrees


def digits() -> ArraySource:
    """The ten digits; the 17 grey levels are spread over 0 to 255."""
    rows = table()
    images = np.round(rows[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    task = Task("classification", tuple(str(digit) for digit in range(10)))
    return ArraySource(task, images, rows[:, -1].astype(np.int32))


def table() -> Int[np.ndarray, "n 65"]:
    """Of each digit its 64 grey levels, 0 to 16, and which it is, from scikit-learn's own file.

    Where that is no longer there, by scikit-learn itself: its import takes twice as long as JAX's.
    """
    package = importlib.util.find_spec("sklearn")
    (folder, *_) = (package and package.submodule_search_locations) or [""]
    path = Path(folder) / "datasets/data/digits.csv.gz"
    if path.exists():
        return np.loadtxt(path, np.int64, delimiter=",")
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.column_stack([data.data, data.target]).astype(np.int64)


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
