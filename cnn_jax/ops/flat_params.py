"""Many arrays as one, and one as many.

The CPU's compiler makes a program of every slice that a step cuts, and a deep net has thousands of
parameters: there, one call cuts all.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import cpu_kernels_apply

Shapes = tuple[tuple[int, ...], ...]
Tree = Any


def stack(arrays: Sequence[Shaped[Array, "*shape"]]) -> Shaped[Array, " k *shape"]:
    """`jnp.stack`."""
    return join(tuple(arrays)).reshape(len(arrays), *arrays[0].shape)


def unstack(x: Shaped[Array, " k *shape"]) -> list[Shaped[Array, "*shape"]]:
    """The entries of the first axis."""
    return split(x.ravel(), (x.shape[1:],) * len(x))


class Packed(NamedTuple):
    """A tree's arrays as two: those that are matrices or more, and the others."""

    matrices: Shaped[Array, "n 1"]
    vectors: Shaped[Array, " m"]


def make_packing(like: Tree) -> tuple[Callable[[Tree], Tree], Callable[[Tree], Tree]]:
    """(pack, unpack): `pack` makes a `Packed` of each part of a tree that has the structure of
    `like`, itself or within the states of an optimizer, and `unpack` the parts of them again.

    What works number by number, or on matrices only, has the same results on either.
    """
    leaves, structure = jax.tree.flatten(like)
    kinds = [len(leaf.shape) > 1 for leaf in leaves]
    shapes = [leaf.shape for leaf in leaves]

    def of(kind: bool, items: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(item for item, own in zip(items, kinds, strict=True) if own is kind)

    def whole(tree: Tree) -> Any:
        if jax.tree.structure(tree) != structure:
            return tree
        parts = jax.tree.leaves(tree)
        return Packed(join(of(True, parts))[:, None], join(of(False, parts)))

    def parts(tree: Any) -> Tree:
        if not isinstance(tree, Packed):
            return tree
        matrices = iter(split(tree.matrices[:, 0], of(True, shapes)))
        vectors = iter(split(tree.vectors, of(False, shapes)))
        return jax.tree.unflatten(structure, [next(matrices if k else vectors) for k in kinds])

    def pack(tree: Tree) -> Tree:
        return jax.tree.map(whole, tree, is_leaf=lambda t: jax.tree.structure(t) == structure)

    def unpack(tree: Tree) -> Tree:
        return jax.tree.map(parts, tree, is_leaf=lambda t: isinstance(t, Packed))

    return pack, unpack


@jax.custom_vjp
def join(arrays: tuple[jax.Array, ...]) -> Shaped[Array, " n"]:
    """All numbers of the arrays, one array behind the other."""
    if not arrays:
        return jnp.zeros(0)
    if cpu_kernels_apply(*arrays, kernel="flat_params"):
        return cpu_kernels.join(arrays)
    return jnp.concatenate([jnp.ravel(a) for a in arrays])


def _join_forward(arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return join(arrays), arrays  # for their shapes


def _join_backward(
    arrays: tuple[jax.Array, ...], gradient: jax.Array
) -> tuple[tuple[jax.Array, ...]]:
    return (tuple(split(gradient, tuple(a.shape for a in arrays))),)


join.defvjp(_join_forward, _join_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def split(x: Shaped[Array, " n"], shapes: Shapes) -> list[jax.Array]:
    """Arrays of these shapes, of the numbers of `x` one behind the other."""
    if cpu_kernels_apply(x, kernel="flat_params"):
        return cpu_kernels.split(x, shapes)
    ends = itertools.accumulate(math.prod(shape) for shape in shapes)
    parts = jnp.split(x, list(ends)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _split_forward(x: jax.Array, shapes: Shapes) -> tuple[list[jax.Array], None]:
    return split(x, shapes), None


def _split_backward(shapes: Shapes, _: None, gradients: list[jax.Array]) -> tuple[jax.Array]:
    del shapes
    return (join(tuple(gradients)),)


split.defvjp(_split_forward, _split_backward)
