"""Shapes that a machine reads and the tests check: b images or maps of h x w positions."""

from jaxtyping import Array, Float

Images = Float[Array, "b h w c"]
Maps = Float[Array, "b _ _ _"]  # [B, H, W, C], whose sizes a layer may change
Vectors = Float[Array, "b _"]
Activations = Float[Array, "*shape"]  # maps or vectors that keep their shape
Logits = Float[Array, "b k"]
