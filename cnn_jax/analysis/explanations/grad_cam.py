"""Grad-CAM: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based
localization", ICCV 2017, eq. 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.errors import UserError, nearest
from cnn_jax.models.variables import Tree
from cnn_jax.runtime import sharding
from cnn_jax.transfer import stage_names

INTERMEDIATES = ["intermediates"]  # where they are wanted, blocks run one by one


def map_shapes(model: nn.Module, image_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Module -> [h, w, c] of its maps, from the image to the head; by an abstract trace."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        out = call(*args, **kwargs)
        path = "/".join(context.module.path)
        if path and context.method_name == "__call__" and getattr(out, "ndim", 0) == 4:
            shapes[path] = out.shape[1:]
        return out

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)

    def run(images: jax.Array) -> jax.Array:
        variables = model.init(jax.random.key(0), images)
        with nn.intercept_methods(note):
            return model.apply(variables, images, train=False, mutable=INTERMEDIATES)[0].logits

    with ops.reference_ops():
        jax.eval_shape(run, images)
    return shapes


def choose_stage(shapes: dict[str, tuple[int, ...]], name: str = "", net: str = "") -> str:
    """The module called `name`, or the last one of a stage of that name; "": the last with maps.

    Of a registered `net` also by the names of torchvision, timm and the paper; where a
    non-linearity belongs to what they name, the maps are those before it. Raises `UserError` with
    the choices where there is none.
    """
    wide = [path for path, (height, width, _) in shapes.items() if height * width > 1]
    top = [path for path in wide if "/" not in path]
    if not top:
        raise UserError("the net has no maps, which Grad-CAM weighs: it is dense throughout")
    if name in wide:
        return name
    members = [path for path in top if path.startswith(f"{name}_")] if name else top
    if members:
        return members[-1]
    equal, before = stage_names.published_points(net)
    if found := stage_names.find_point(name, wide, before | equal):
        return found
    raise UserError(
        f"stage={name!r} is no layer with maps{nearest(name, [*wide, *equal])}; "
        f"choices: {', '.join(top)}{stage_names.hint(net)}"
    )


def stage_gradients(
    model: nn.Module, variables: Tree, images: jax.Array, classes: jax.Array, stage: str
) -> tuple[jax.Array, jax.Array]:
    """(the maps A of `stage`, the derivative by A of each image's logit of its class).

    Both [B, h, w, c]; `classes` int [B].
    """
    shape = map_shapes(model, images.shape[1:])[stage]

    def own_logits(shift: jax.Array) -> tuple[jax.Array, jax.Array]:
        maps = []

        def shifted(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
            out = call(*args, **kwargs)
            if context.method_name != "__call__" or "/".join(context.module.path) != stage:
                return out
            maps.append(out)
            return out + shift.astype(out.dtype)

        with nn.intercept_methods(shifted), ops.reference_ops():
            output, _ = model.apply(variables, images, train=False, mutable=INTERMEDIATES)
        logits = jnp.take_along_axis(output.logits.astype(jnp.float32), classes[:, None], 1)
        return logits.sum(), maps[-1]  # no image's logit depends on another's maps

    gradients, maps = jax.grad(own_logits, has_aux=True)(jnp.zeros((len(images), *shape)))
    return maps, gradients


def grad_cam(
    model: nn.Module, variables: Tree, images: jax.Array, classes: jax.Array, stage: str
) -> jax.Array:
    """[B, h, w] of the maps' size: ReLU of the sum of maps, each by its gradient's mean."""
    maps, gradients = stage_gradients(model, variables, images, classes, stage)
    weights = gradients.mean((1, 2), keepdims=True)
    return nn.relu((weights * maps).sum(-1))


def compiled(method: Callable[..., jax.Array], *last: Any) -> Callable[..., np.ndarray]:
    """`method(model, variables, images, classes, *last)` as one program, on the host."""
    program = sharding.jit_forward(
        lambda model, variables, images, classes: method(model, variables, images, classes, *last),
        static_argnums=0,
    )

    def run(model: nn.Module, variables: Tree, images: Any, classes: Any) -> np.ndarray:
        return np.asarray(program(model, variables, jnp.asarray(images), jnp.asarray(classes)))

    return run


def enlarge(maps: jax.Array | np.ndarray, height: int, width: int) -> np.ndarray:
    """[B, h, w] -> [B, height, width], bilinear."""
    return np.asarray(jax.image.resize(maps, (len(maps), height, width), "bilinear"))
