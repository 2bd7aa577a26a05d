"""All transforms of a config as one function over a batch."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from cnn_jax.data.augment import warp
from cnn_jax.data.augment.array_types import Ids, Image, Images, Labels, RandomKey
from cnn_jax.data.augment.mixing import MIXING, MixedTargets
from cnn_jax.data.augment.parsing import Transform, parse
from cnn_jax.data.dataset import Task
from cnn_jax.errors import UserError

Targets = Labels | MixedTargets
PCA = ("pca_lighting", "pca_colour")
ALTERNATING = "alternating_flip"
# What moves or hides pixels, beside the warps.
MOVING = ("horizontal_flip", "vertical_flip", "pad_and_crop", "rotate_quarter", "elastic", "cutout")
# (key of the step, ids, images, labels, passes) -> (images, targets)
Augment = Callable[..., tuple[Images, Targets]]


class Passes(NamedTuple):
    """What holds for an example longer than a step: the key of the run, and its epoch [B]."""

    key: RandomKey
    epoch: Ids

    def mirrored(self, ids: Ids) -> Bool[Array, " b"]:
        """Of `alternating_flip`: a coin thrown once an example, turned over every epoch."""
        coins = jax.vmap(lambda i: jax.random.bernoulli(jax.random.fold_in(self.key, i)))(ids)
        return coins ^ (self.epoch % 2 == 1)


def compose(
    specs: Sequence[str],
    image_shape: tuple[int, int, int] | None = None,
    task: Task | None = None,
    colours: Float[np.ndarray, "c c"] | None = None,
    border: Float[np.ndarray, "*n"] | None = None,
) -> Augment:
    """One function (key of the step, ids, images, labels, passes) -> (images, targets).

    It does all transforms; `passes` is what `alternating_flip` needs.

    `image_shape` [H, W, C] is checked here, before any step, and not where it is None. `colours`,
    the `principal_colours` of the training images, are what `pca_lighting` and `pca_colour` need.
    `border`, in grey levels, of a channel or a pixel, is subtracted before pixels move and added
    again: what comes from outside the image is the border then, in place of black.
    Targets are the labels, unless the last transform mixes: each example then has its neighbour in
    the batch as partner (with several replicas, in its own part of the batch). Which one that is
    depends on the batch; the draws do not.
    """
    transforms = [parse(spec) for spec in specs]
    check_mixing(transforms, task)
    mixing = transforms.pop() if transforms and transforms[-1].name in MIXING else None
    if uses_colours(specs) and colours is None:
        raise ValueError(f"{PCA} need the principal colours of the training images")
    constants: dict[str, dict[str, Any]] = {name: {"directions": colours} for name in PCA}
    alternates = ALTERNATING in [transform.name for transform in transforms]

    def transform_one(key: RandomKey, mirrored: Any, image: Image) -> Image:
        given = constants | {ALTERNATING: {"mirrored": mirrored}}
        keyed = [(jax.random.fold_in(key, i), t) for i, t in enumerate(transforms)]
        for is_warp, group in itertools.groupby(keyed, lambda pair: pair[1].is_warp):
            if is_warp:
                matrices = [t.sample_matrix(own_key, image.shape) for own_key, t in group]
                image = about(border, image, lambda x, m=matrices: warp.warp(x, warp.product(m)))
            else:
                for own_key, t in group:
                    change = functools.partial(t, own_key, **given.get(t.name, {}))
                    image = about(border if t.name in MOVING else None, image, change)
        return image

    if image_shape is not None:
        key = jax.eval_shape(lambda: jax.random.key(0))  # nothing is computed
        image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
        jax.eval_shape(transform_one, key, False, image)

    def augment(
        step_key: RandomKey, ids: Ids, images: Images, labels: Labels, passes: Any = None
    ) -> tuple[Images, Targets]:
        if not specs:
            return images, labels
        keys = jax.vmap(lambda i: jax.random.fold_in(step_key, i))(ids)
        mirrored = mirrored_of(passes, ids) if alternates else None
        images = jax.vmap(transform_one)(keys, mirrored, images)
        if mixing is None:
            return images, labels
        keys = jax.vmap(lambda key: jax.random.fold_in(key, len(transforms)))(keys)
        images, lam = jax.vmap(mixing)(keys, jnp.stack([images, jnp.roll(images, 1, 0)], 1))
        return images, MixedTargets(labels, jnp.roll(labels, 1, 0), lam)

    return augment


def mirrored_of(passes: Passes | None, ids: Ids) -> Bool[Array, " b"]:
    """`passes.mirrored`; an error where the caller has none."""
    if passes is None:
        raise ValueError(f"{ALTERNATING} needs the examples' epochs")
    return passes.mirrored(ids)


def about(
    border: Float[np.ndarray, "*n"] | None, image: Image, change: Callable[[Image], Image]
) -> Image:
    """The change of the image minus the border, plus the border: zeros of the change become it."""
    if border is None:
        return change(image)
    mean = jax.lax.broadcast_to_rank(jnp.asarray(border), image.ndim)
    return change(image - mean) + mean


def uses_colours(specs: Sequence[str]) -> bool:
    """Whether one of the transforms needs the principal colours."""
    return any(parse(spec).name in PCA for spec in specs)


def check_mixing(transforms: Sequence[Transform], task: Task | None) -> None:
    """Raises where a mixing transform is not the last one, or has no classes to mix."""
    for i, transform in enumerate(transforms):
        if transform.name not in MIXING:
            continue
        if i < len(transforms) - 1:
            raise UserError(
                f"augment={transform.name!r} mixes two examples, so it must be the last and only "
                f"one to do so; move it behind {transforms[i + 1].name!r} or leave one away"
            )
        if task is not None and task.kind == "regression":
            raise UserError(
                f"augment={transform.name!r} mixes classes, but the targets are numbers; leave it "
                "away"
            )
