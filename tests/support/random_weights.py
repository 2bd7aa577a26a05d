"""The same random weights in torch and here, from NumPy's generator and a tensor's name alone.

Nothing has a default value, so that a forgotten tensor, epsilon or statistic shows.
"""

import zlib

import numpy as np


def tensor(name, shape):
    """The values of the tensor `name` of a torch state_dict."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.6, 1.5, shape).astype(np.float32)
    if len(shape) == 1:
        centre = 1.0 if name.endswith(".weight") else 0.0  # of a norm
        return rng.normal(centre, 0.2, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return rng.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)


def images(batch, size):
    """[batch, size, size, 3]: noise over a different shade for each image and channel."""
    rng = np.random.RandomState(0)
    shade = rng.normal(0, 1, (batch, 1, 1, 3))
    return (shade + rng.normal(0, 1, (batch, size, size, 3))).astype(np.float32)
