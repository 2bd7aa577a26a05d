"""The arrays of augmentation, by shape: h, w, c are an image's height, width and channels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

RandomKey = Key[Array, ""]
Image = Float[Array, "h w c"]  # grey levels, 0 to 255
Matrix = Float[Array, "3 3"]  # a warp, see warp.py
Number = Num[Array, ""] | float | int
Shape = tuple[int, ...]  # (height, width, ...)

Ids = Int[Array, " b"]
Images = Float[Array, "b h w c"]
Labels = Num[Array, " b"]  # classes, or numbers of a regression

# An image, or the grey levels of a table: what is done to each by itself.
Levels = Float[Array, "*n c"] | Float[np.ndarray, "*n c"]
Table = Float[Array, "256 c"]  # what each grey level of each channel becomes
