"""The registry of nets: `create(name, num_classes=..., **options)` and `names()`.

A paper is a file here; its `NETS` says which names it offers, and a new file is found by itself.
`register(name, net)` adds a net from anywhere else. A net takes float images [B, H, W, C] and
`train`, and returns `Output(logits, auxiliary)`. Its parameters stay float32 whatever its `dtype`.
"""

from cnn_jax.models.layers import Output
from cnn_jax.models.registry import REGISTRY, Net, create, discover, names, register

discover(__name__, __path__)

__all__ = ["REGISTRY", "Net", "Output", "create", "names", "register"]
