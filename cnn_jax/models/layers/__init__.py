"""What two papers or more share: a file a concern, all of it importable from here.

Nets call `conv`, `max_pool` and `local_response_norm` from here and never ask which backend they
run on: `cnn_jax.ops` does.
"""

from cnn_jax.models.layers.activations import ACTIVATIONS, Activation, activate, scaled_tanh
from cnn_jax.models.layers.attention import Attention, SqueezeExcitation, attention
from cnn_jax.models.layers.batch_norm import BatchNorm
from cnn_jax.models.layers.cbam import CBAM
from cnn_jax.models.layers.convolutions import (
    HE_NORMAL,
    UNIFORM,
    ConvUnit,
    Initializer,
    Padding,
    conv,
)
from cnn_jax.models.layers.dense import ConvolutionalDense, mean_positions
from cnn_jax.models.layers.norms import CENTRING_NORMS, Norm, activate_normalised, norm
from cnn_jax.models.layers.outputs import (
    Output,
    compute_auxiliary,
    require_size,
    sow_activation,
)
from cnn_jax.models.layers.pooling import (
    Pooling,
    adaptive_avg_pool,
    avg_pool,
    global_pool,
    max_pool,
    window_pool,
)
from cnn_jax.models.layers.residual import (
    InvertedResidual,
    make_divisible,
    residual_add,
    stochastic_depth,
)
from cnn_jax.models.layers.scan_blocks import scan_blocks
from cnn_jax.models.layers.shapes import Activations, Images, Logits, Maps, Vectors
from cnn_jax.ops import local_response_norm

__all__ = [
    "ACTIVATIONS",
    "CBAM",
    "CENTRING_NORMS",
    "HE_NORMAL",
    "UNIFORM",
    "Activation",
    "Activations",
    "Attention",
    "BatchNorm",
    "ConvUnit",
    "ConvolutionalDense",
    "Images",
    "Initializer",
    "InvertedResidual",
    "Logits",
    "Maps",
    "Norm",
    "Output",
    "Padding",
    "Pooling",
    "SqueezeExcitation",
    "Vectors",
    "activate",
    "activate_normalised",
    "adaptive_avg_pool",
    "attention",
    "avg_pool",
    "compute_auxiliary",
    "conv",
    "global_pool",
    "local_response_norm",
    "make_divisible",
    "max_pool",
    "mean_positions",
    "norm",
    "require_size",
    "residual_add",
    "scaled_tanh",
    "scan_blocks",
    "sow_activation",
    "stochastic_depth",
    "window_pool",
]
