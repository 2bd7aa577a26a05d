"""Augmentation in the compiled step: pure functions of a key and one image, mapped over a batch.

An image is float32 [H, W, C] in grey levels 0 to 255. The key of an example comes from (seed, step,
example id), so that its draw depends on nothing else: not on the batch, the order or the devices.
A transform is named in `config.augment` with its arguments: `"pad_and_crop(4)"`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from cnn_jax.errors import UserError, unknown

Transform = Callable[[jax.Array, jax.Array], jax.Array]


def horizontal_flip(key: jax.Array, image: jax.Array, probability: float = 0.5) -> jax.Array:
    """Mirrors left and right with the given probability."""
    return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


def pad_and_crop(key: jax.Array, image: jax.Array, pad: int = 4) -> jax.Array:
    """Pads `pad` zeros on each side and crops the old size at random (He et al. 2015, sec. 4.2)."""
    padded = jnp.pad(image, [(pad, pad), (pad, pad), (0, 0)])
    corner = jax.random.randint(key, (2,), 0, 2 * pad + 1)
    return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), image.shape)


TRANSFORMS: dict[str, Callable] = {
    "horizontal_flip": horizontal_flip,
    "pad_and_crop": pad_and_crop,
}


def parse(call: str) -> Transform:
    """The transform that `"name"` or `"name(arguments)"` asks for; arguments are numbers."""
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", str(call))
    name, arguments = match.groups() if match else (call, None)
    if name not in TRANSFORMS:
        raise unknown("augment", name, sorted(TRANSFORMS))
    signature = inspect.signature(TRANSFORMS[name])
    try:
        values = ast.literal_eval(f"({arguments},)") if arguments else ()
        given = list(signature.bind(None, None, *values).arguments)[2:]
        for parameter, value in zip(given, values, strict=True):
            whole = signature.parameters[parameter].annotation == "int"
            if type(value) not in ((int,) if whole else (int, float)) or value < 0:
                raise ValueError
    except (SyntaxError, TypeError, ValueError) as error:
        wanted = ", ".join(str(p).replace("'", "") for p in [*signature.parameters.values()][2:])
        raise UserError(
            f"augment={call!r}: arguments must be plain numbers, none negative: {name}({wanted})"
        ) from error
    return lambda key, image: TRANSFORMS[name](key, image, *values)


def compose(calls: Sequence[str]) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """One function (key of the step, ids [B], images [B, H, W, C]) -> images, of all transforms."""
    transforms = [parse(call) for call in calls]

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        for i, transform in enumerate(transforms):
            image = transform(jax.random.fold_in(key, i), image)
        return image

    def batch(step_key: jax.Array, ids: jax.Array, images: jax.Array) -> jax.Array:
        if not transforms:
            return images
        keys = jax.vmap(lambda i: jax.random.fold_in(step_key, i))(ids)
        return jax.vmap(one)(keys, images)

    return batch
