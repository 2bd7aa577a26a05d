"""A real photograph that comes with scikit-learn, in small; and a quick way to compile."""

import functools

import jax
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

# Most of the time goes to optimising programs that run once.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def photograph(channels, size=32):
    """uint8 [size, size, channels]."""
    image = Image.fromarray(load_sample_image("flower.jpg")).crop((120, 0, 540, 420))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB").resize((size, size)))
    return pixels.reshape(size, size, channels)


def pillow(pixels):
    """The Pillow image of uint8 [H, W, C]."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def pixels_of(image):
    """float64 [H, W, C] of a Pillow image."""
    pixels = np.asarray(image, np.float64)
    return pixels[..., None] if pixels.ndim == 2 else pixels
