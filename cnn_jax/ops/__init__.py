"""Operations in the form that is fast on the backend: the reference operation or the CPU's.

The nets call these and never ask where they run: `dispatch` chooses when a step is traced, by
`runtime.target`, which says where it will run. All forms have the same values and gradients to
rounding, ties included.
"""

from cnn_jax.ops.batch_norm import AFTER_NORM, batch_norm
from cnn_jax.ops.convolutions import convolution
from cnn_jax.ops.dispatch import (
    guided_rectifiers,
    joint_norms,
    observe_activation,
    observed_activations,
    portable_ops,
    reference_ops,
    shapes_alone,
    space_to_depth,
    use_cpu_ops,
    use_guided_rectifiers,
    use_joint_norm,
    use_portable_ops,
)
from cnn_jax.ops.lrn import local_response_norm
from cnn_jax.ops.materialize import materialize
from cnn_jax.ops.pointwise_norm import pointwise_norm
from cnn_jax.ops.pooling import axis_max, max_pool

__all__ = [
    "AFTER_NORM",
    "axis_max",
    "batch_norm",
    "convolution",
    "guided_rectifiers",
    "joint_norms",
    "local_response_norm",
    "materialize",
    "max_pool",
    "observe_activation",
    "observed_activations",
    "pointwise_norm",
    "portable_ops",
    "reference_ops",
    "shapes_alone",
    "space_to_depth",
    "use_cpu_ops",
    "use_guided_rectifiers",
    "use_joint_norm",
    "use_portable_ops",
]
