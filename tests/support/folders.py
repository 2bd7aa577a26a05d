"""Small folders of real image files, of every kind that people have."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from configs.base import base


def picture(seed, height=40, width=52):
    """A smooth picture with an orientation, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + c) for c in range(3)]
    return np.uint8(127.5 + 120 * np.stack(waves, -1) * np.linspace(0.4, 1, width)[None, :, None])


def encoded(pixels, kind="JPEG", **options):
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def make(root, counts, splits=("",), start=0, **sizes):
    """JPEGs, `counts` by class, in each folder of `splits`; returns the root."""
    number = start
    for split in splits:
        for name, count in counts.items():
            folder = Path(root, split, name)
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                content = encoded(picture(number, **sizes), quality=90)
                (folder / f"{name}_{i:02}.jpg").write_bytes(content)
                number += 1
    return root


def config_of(root):
    """A perceptron on the folder's images at 8 pixels: a run of one epoch takes a second."""
    config = base("own", f"folder:{root}", image_size=8)
    config.update({"epochs": 1.0, "batch_size": 4, "devices": 1, "log_every_steps": 0})
    config.model.name = "perceptron"
    return config
