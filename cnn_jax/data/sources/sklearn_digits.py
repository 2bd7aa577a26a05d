"""Real handwritten digits that come with scikit-learn: 1,797 images of 8x8, nothing to download.

Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998 (test part).
"""

from __future__ import annotations

import numpy as np

from cnn_jax.data.dataset import Split, Task
from cnn_jax.data.images.resize import fit_size

LARGEST_TURN = 45.0  # degrees


def digits() -> tuple[Task, Split]:
    """The ten digits; the 17 grey levels are spread over 0 to 255."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    rows = np.arange(len(images), dtype=np.int32)
    task = Task("classification", tuple(str(d) for d in range(10)))
    return task, Split(images, data.target.astype(np.int32), rows)


def digits_angle() -> tuple[Task, Split]:
    """Each digit, enlarged to 32x32, turned by an angle from [-45, 45] degrees: predict the angle.

    The angle is positive when the digit was turned against the clock. Angles come from a fixed
    seed, one for each example.
    """
    from PIL import Image

    _, upright = digits()
    large = fit_size(upright.images, 32, "bilinear")[..., 0]
    angles = np.random.RandomState(0).uniform(-LARGEST_TURN, LARGEST_TURN, len(large))
    bilinear = Image.Resampling.BILINEAR
    turned = [
        np.asarray(Image.fromarray(image).rotate(angle, bilinear))
        for image, angle in zip(large, angles, strict=True)
    ]
    task = Task("regression", unit="degrees")
    return task, Split(np.stack(turned)[..., None], angles.astype(np.float32), upright.ids)
