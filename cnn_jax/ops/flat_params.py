"""Many arrays as one, and one as many.

The CPU's compiler makes a program of every slice that a step cuts, and a deep net has thousands of
parameters: there, one call cuts all.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
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
    """A tree's arrays: those that are matrices or more as one, vectors as one, large ones."""

    matrices: Shaped[Array, "n 1"]
    vectors: Shaped[Array, " m"]
    large: tuple[jax.Array, ...] = ()


def make_packing(
    like: Tree, largest: float = math.inf
) -> tuple[Callable[[Tree], Tree], Callable[[Tree], Tree]]:
    """(pack, unpack): `pack` makes a `Packed` of each part of a tree that has the structure of
    `like`, itself or within the states of an optimizer, and `unpack` the parts of them again.

    Arrays of more numbers than `largest` stay as they are. What works number by number, or on
    matrices only, has the same results on either.
    """
    leaves, structure = jax.tree.flatten(like)
    shapes = [leaf.shape for leaf in leaves]
    kinds = [
        "large" if math.prod(shape) > largest else "matrix" if len(shape) > 1 else "vector"
        for shape in shapes
    ]

    def of(kind: str, items: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(item for item, own in zip(items, kinds, strict=True) if own == kind)

    def whole(tree: Tree) -> Any:
        if jax.tree.structure(tree) != structure:
            return tree
        parts = jax.tree.leaves(tree)
        matrices, vectors = join(of("matrix", parts)), join(of("vector", parts))
        return Packed(matrices[:, None], vectors, of("large", parts))

    def parts(tree: Any, serials: Iterator[int]) -> Tree:
        if not isinstance(tree, Packed):
            return tree
        found = {
            "matrix": iter(split(tree.matrices[:, 0], of("matrix", shapes), next(serials))),
            "vector": iter(split(tree.vectors, of("vector", shapes), next(serials))),
            "large": iter(tree.large),
        }
        return jax.tree.unflatten(structure, [next(found[kind]) for kind in kinds])

    def pack(tree: Tree) -> Tree:
        return jax.tree.map(whole, tree, is_leaf=lambda t: jax.tree.structure(t) == structure)

    def unpack(tree: Tree) -> Tree:
        serials = itertools.count()  # the moments of a fresh optimizer are equal, not one
        take_apart = functools.partial(parts, serials=serials)
        return jax.tree.map(take_apart, tree, is_leaf=lambda t: isinstance(t, Packed))

    return pack, unpack


def is_one_call(arrays: Sequence[jax.Array]) -> bool:
    """Whether to join these, and to split them again, is one call for all."""
    return cpu_kernels_apply(*arrays, kernel="flat_params")


@jax.custom_vjp
def join(arrays: tuple[jax.Array, ...]) -> Shaped[Array, " n"]:
    """All numbers of the arrays, one array behind the other."""
    if not arrays:
        return jnp.zeros(0)
    if is_one_call(arrays):
        return cpu_kernels.join(arrays)
    return jnp.concatenate([jnp.ravel(a) for a in arrays])


def _join_forward(arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return join(arrays), arrays  # for their shapes


def _join_backward(
    arrays: tuple[jax.Array, ...], gradient: jax.Array
) -> tuple[tuple[jax.Array, ...]]:
    return (tuple(split(gradient, tuple(a.shape for a in arrays))),)


join.defvjp(_join_forward, _join_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def split(x: Shaped[Array, " n"], shapes: Shapes, serial: int = 0) -> list[jax.Array]:
    """Arrays of these shapes, of the numbers of `x` one behind the other.

    Calls with different `serial` give arrays of their own, also where `x` is the same.
    """
    if is_one_call([x]):
        return cpu_kernels.split(x, shapes, serial)
    ends = itertools.accumulate(math.prod(shape) for shape in shapes)
    parts = jnp.split(x, list(ends)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _split_forward(x: jax.Array, shapes: Shapes, serial: int) -> tuple[list[jax.Array], None]:
    return split(x, shapes, serial), None


def _split_backward(
    shapes: Shapes, serial: int, _: None, gradients: list[jax.Array]
) -> tuple[jax.Array]:
    del shapes, serial
    return (join(tuple(gradients)),)


split.defvjp(_split_forward, _split_backward)
