"""Elastic distortion: a smooth random field moves every pixel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cnn_jax.data.augment import warp
from cnn_jax.data.augment.array_types import Image, RandomKey, Shape


def elastic(key: RandomKey, image: Image, alpha: float = 34.0, sigma: float = 4.0) -> Image:
    """Uniform noise in -1 to 1, smoothed by a Gaussian of `sigma` pixels, times `alpha` pixels
    (Simard et al. 2003, sec. 2; their 29-pixel digits had alpha 34, sigma 4).
    """
    return displace(image, displacement_field(key, image.shape, alpha, sigma))


def displacement_field(
    key: RandomKey, shape: Shape, alpha: float, sigma: float
) -> Float[Array, "h w 2"]:
    """How far each pixel moves across and down, in pixels."""
    noise = jax.random.uniform(key, (2, *shape[:2]), minval=-1.0, maxval=1.0)
    return alpha * jnp.moveaxis(smooth(noise, sigma), 0, -1)


def smooth(planes: Float[Array, "n h w"], sigma: float) -> Float[Array, "n h w"]:
    """Planes under a Gaussian of `sigma` pixels, zeros outside, as two matrix products.

    Their last bits can depend on how many images a device has. dm-pix's gaussian_blur is a
    depthwise convolution, on a CPU a hundred times slower.
    """
    down, across = (gaussian_matrix(size, sigma) for size in planes.shape[1:])
    return jnp.einsum("hi,niw,vw->nhv", down, planes, across, precision="highest")


def gaussian_matrix(size: int, sigma: float) -> Float[np.ndarray, "{size} {size}"]:
    """Row i weighs the pixels around pixel i; a row away from the rim sums to 1."""
    gaussian = lambda offset: np.exp(-(offset**2) / (2 * sigma**2))  # noqa: E731
    total = gaussian(np.arange(-int(10 * sigma), int(10 * sigma) + 1)).sum()
    return (gaussian(np.arange(size) - np.arange(size)[:, None]) / total).astype(np.float32)


def displace(image: Image, by: Float[Array, "h w 2"]) -> Image:
    """The image at each pixel plus `by`; beyond the rim it goes on as the rim.

    dm-pix's elastic_deformation draws and applies in one, and interpolates channel by channel.
    """
    height, width = image.shape[:2]
    x, y = warp.pixel_centres(image.shape)
    x = jnp.clip(x + by[..., 0], 0.5, width - 0.5)
    y = jnp.clip(y + by[..., 1], 0.5, height - 0.5)
    return warp.bilinear_sample(image, x, y, 0.0)
