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

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import cpu_kernels_apply

Shapes = tuple[tuple[int, ...], ...]
Tree = Any


def stack(arrays: Sequence[jax.Array]) -> jax.Array:
    """`jnp.stack`."""
    return join(tuple(arrays)).reshape(len(arrays), *arrays[0].shape)


def unstack(x: jax.Array) -> list[jax.Array]:
    """The entries of the first axis."""
    return split(x.ravel(), (x.shape[1:],) * len(x))


class Packed(NamedTuple):
    """A tree's arrays as two: those that are matrices or more, and the others."""

    matrices: jax.Array  # [n, 1]
    vectors: jax.Array  # [m]


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
def join(arrays: tuple[jax.Array, ...]) -> jax.Array:
    """All numbers of the arrays, [n], one array behind the other."""
    if not arrays:
        return jnp.zeros(0)
    if cpu_kernels_apply(*arrays):
        return cpu_kernels.join(arrays)
    return jnp.concatenate([jnp.ravel(a) for a in arrays])


def _join_forward(arrays):
    return join(arrays), arrays  # for their shapes


def _join_backward(arrays, gradient):
    return (tuple(split(gradient, tuple(a.shape for a in arrays))),)


join.defvjp(_join_forward, _join_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def split(x: jax.Array, shapes: Shapes) -> list[jax.Array]:
    """Arrays of these shapes, of the numbers of `x` [n] one behind the other."""
    if cpu_kernels_apply(x):
        return cpu_kernels.split(x, shapes)
    ends = itertools.accumulate(math.prod(shape) for shape in shapes)
    parts = jnp.split(x, list(ends)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _split_forward(x, shapes):
    return split(x, shapes), None


def _split_backward(shapes, _, gradients):
    del shapes
    return (join(tuple(gradients)),)


split.defvjp(_split_forward, _split_backward)
