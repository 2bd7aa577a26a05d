"""All transforms of a config as one function over a batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augment import warp
from cnn_jax.data.augment.mixing import MIXING, MixedTargets
from cnn_jax.data.augment.parsing import TransformSpec, parse
from cnn_jax.data.dataset import Task
from cnn_jax.errors import UserError

Targets = jax.Array | MixedTargets
# (key of the step, ids [B], images [B, H, W, C], labels [B]) -> (images, targets)
Augment = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Targets]]


def compose(
    specs: Sequence[str],
    image_shape: tuple[int, int, int] | None = None,
    task: Task | None = None,
    colours: np.ndarray | None = None,
) -> Augment:
    """One function (key of the step, ids, images, labels) -> (images, targets) of all transforms.

    `image_shape` [H, W, C] is checked here, before any step, and not where it is None. `colours`
    [C, C], the `principal_colours` of the training images, are what `pca_lighting` needs.
    Targets are the labels, unless the last transform mixes: each example then has its neighbour in
    the batch as partner (with several replicas, in its own part of the batch). Which one that is
    depends on the batch; the draws do not.
    """
    parsed = [parse(spec) for spec in specs]
    check_mixing(parsed, task)
    mixes = bool(parsed) and parsed[-1].name in MIXING
    alone = parsed[:-1] if mixes else parsed
    constants: dict[str, dict] = {}
    if uses(specs, "pca_lighting"):
        if colours is None:
            raise ValueError("pca_lighting needs the principal colours of the training images")
        constants["pca_lighting"] = {"directions": colours}

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        keyed = [(jax.random.fold_in(key, i), spec) for i, spec in enumerate(alone)]
        for is_warp, group in itertools.groupby(
            keyed, lambda pair: pair[1].sample_matrix is not None
        ):
            if is_warp:
                matrices = [spec.matrix(own, image.shape) for own, spec in group]
                image = warp.warp(image, warp.product(matrices))
            else:
                for own, spec in group:
                    image = spec(own, image, **constants.get(spec.name, {}))
        return image

    if image_shape is not None:
        jax.eval_shape(one, jax.random.key(0), jnp.zeros(image_shape))

    def batch(step_key: jax.Array, ids: jax.Array, images: jax.Array, labels: jax.Array):
        if not parsed:
            return images, labels
        keys = jax.vmap(lambda i: jax.random.fold_in(step_key, i))(ids)
        images = jax.vmap(one)(keys, images)
        if not mixes:
            return images, labels
        keys = jax.vmap(lambda key: jax.random.fold_in(key, len(alone)))(keys)
        images, lam = jax.vmap(parsed[-1])(keys, jnp.stack([images, jnp.roll(images, 1, 0)], 1))
        return images, MixedTargets(labels, jnp.roll(labels, 1, 0), lam)

    return batch


def uses(specs: Sequence[str], name: str) -> bool:
    """Whether a transform of this name is among them."""
    return any(parse(spec).name == name for spec in specs)


def check_mixing(parsed: Sequence[TransformSpec], task: Task | None) -> None:
    """Raises where a mixing transform is not the last one, or has no classes to mix."""
    for i, spec in enumerate(parsed):
        if spec.name not in MIXING:
            continue
        if i < len(parsed) - 1:
            raise UserError(
                f"augment={spec.name!r} mixes two examples, so it must be the last and only one to "
                f"do so; move it behind {parsed[i + 1].name!r} or leave one away"
            )
        if task is not None and task.kind == "regression":
            raise UserError(
                f"augment={spec.name!r} mixes classes, but the targets are numbers; leave it away"
            )
