"""The logit's derivative by the image, plain and guided.

- plain: Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", 2014.
- guided: Springenberg et al., "Striving for simplicity: the all convolutional net", 2015:
  rectifiers let no negative gradient back. It may draw the image's edges whatever the weights are
  (Adebayo et al. 2018), so that it is never shown without the verdict of `sanity.check`.
"""

from __future__ import annotations

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.analysis.explanations.forward import own_logits
from cnn_jax.models.variables import Tree


def image_gradient(
    model: nn.Module, variables: Tree, images: jax.Array, classes: jax.Array
) -> jax.Array:
    """The derivative by each image of its logit of its class, [B, H, W, C]."""
    return jax.grad(lambda x: own_logits(model, variables, x, classes).sum())(images)


def guided_backpropagation(
    model: nn.Module, variables: Tree, images: jax.Array, classes: jax.Array
) -> jax.Array:
    """`image_gradient` by guided rectifiers, [B, H, W, C]; without any it is the plain one."""
    with ops.guided_rectifiers():
        return image_gradient(model, variables, images, classes)
