"""Initial values without compiling a program for each net.

XLA takes as long over the initialisation of a net as over a good part of its train step: random
numbers are a long program, and each shape has its own. Here the traced function is evaluated
equation by equation, with NumPy but for the draws. These are made in pieces of one length by one
small program for all nets: JAX's generator (`jax_threefry_partitionable`) gives entry i the same
bits however many are drawn. The values are those of the compiled function, to the bit.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import importlib.metadata
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl, threefry_2x32

from cnn_jax.runtime import sharding
from cnn_jax.runtime.moves import apart

Equation = Any  # jax.extend.core.JaxprEqn
ROOT_OF_TWO = np.float32(np.sqrt(2))
JAXLIB = importlib.metadata.version("jaxlib")
JOINS_CONSTANTS = tuple(map(int, JAXLIB.split(".")[:2])) < (0, 12)
PIECE = 2**17  # numbers that are drawn at a time


def standard_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """`jax.random.normal` before its last step, times the root of two."""
    low = np.nextafter(np.array(-1.0, dtype), np.array(0.0, dtype))
    return jax.lax.erf_inv(jax.random.uniform(key, shape, dtype, low, np.array(1.0, dtype)))


# The functions that JAX traces as one -> (what draws, the names of its bounds)
DRAWS: dict[str, tuple[Callable[..., jax.Array], tuple[str, ...]]] = {
    "_normal": (standard_normal, ()),
    "_uniform": (jax.random.uniform, ("minval", "maxval")),
    "_truncated_normal": (jax.random.truncated_normal, ("lower", "upper")),
}


class Scaled(NamedTuple):
    """Numbers and a factor to come: XLA multiplied by the product of constants before 0.12."""

    numbers: np.ndarray
    factor: np.float32


class FreshValues:
    """A function of a seed, traced once: the `shapes` it returns, and for each seed their values.

    Values are NumPy's. Where no rule here knows how one is made, as in the loop over the blocks of
    a scanned net, the whole is compiled.
    """

    def __init__(self, function: Callable[[Any], Any]):
        make = jax.make_jaxpr(function, return_shape=True)
        self.program, self.shapes = make(np.uint32(0))
        self.compiled = sharding.jit_once(function)

    def __call__(self, seed: int) -> Any:
        jaxpr = self.program.jaxpr
        equations = needed(jaxpr, jaxpr.outvars)
        if not has_one_sequence_a_key() or not all(has_rule(equation) for equation, _ in equations):
            return self.compiled(np.uint32(seed))
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, self.program.consts, strict=True))
        values[jaxpr.invars[0]] = np.uint32(seed)

        def value_of(atom: Any) -> Any:
            return atom.val if isinstance(atom, jax.extend.core.Literal) else values[atom]

        last_use = {v: i for i, (e, _) in enumerate(equations) for v in variables(e.invars)}
        asked = set(variables(jaxpr.outvars))
        for number, (equation, wanted) in enumerate(equations):
            inputs = [value_of(atom) for atom in equation.invars]
            spent = {v for v in variables(equation.invars) if last_use[v] == number} - asked
            own = spent.difference(jaxpr.constvars)
            place = next((values[v] for v in own if can_hold(values[v], equation)), None)
            found = evaluate(equation, wanted, inputs, place)
            for variable in spent:
                del values[variable]
            for variable, value in zip(wanted, found, strict=True):
                # A net's parameters are there once.
                values[variable] = value if variable in last_use else settled(value, values)
        leaves = [plain(value_of(atom)) for atom in jaxpr.outvars]
        return jax.tree.unflatten(jax.tree.structure(self.shapes), leaves)


def first_results(program: Any, shapes: Any) -> Callable[[Any], Any] | None:
    """The function of a traced program's first argument that gives its first results alone.

    They have the structure of `shapes`. None where they hang on another argument, or where no rule
    here knows how one is made.
    """
    jaxpr = program.jaxpr
    outvars = jaxpr.outvars[: len(jax.tree.leaves(shapes))]
    equations = needed(jaxpr, outvars)
    made = {v for equation, _ in equations for v in equation.outvars}
    known = made.union(jaxpr.constvars, jaxpr.invars[:1])
    asked = variables([*outvars, *(x for equation, _ in equations for x in equation.invars)])
    if not known.issuperset(asked) or not all(has_rule(equation) for equation, _ in equations):
        return None

    def function(argument: Any) -> Any:
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, program.consts, strict=True))
        values[jaxpr.invars[0]] = argument

        def value_of(atom: Any) -> Any:
            return atom.val if isinstance(atom, jax.extend.core.Literal) else values[atom]

        for equation, _ in equations:
            found = bind(equation, map(value_of, equation.invars))
            values.update(zip(equation.outvars, found, strict=True))
        return jax.tree.unflatten(jax.tree.structure(shapes), map(value_of, outvars))

    return function


def bind(equation: Equation, inputs: Iterable[Any]) -> Sequence[Any]:
    """The results of an equation, of values or of a trace's."""
    parameters = equation.primitive.get_bind_params(equation.params)
    found = equation.primitive.bind(*inputs, **parameters)
    return found if equation.primitive.multiple_results else [found]


def has_one_sequence_a_key() -> bool:
    """Whether JAX's generator is the one that gives the same bits however many are drawn."""
    is_threefry = jax.config.jax_default_prng_impl == "threefry2x32"  # pyright: ignore
    return is_threefry and jax.config.jax_threefry_partitionable  # pyright: ignore


def has_rule(equation: Equation) -> bool:
    """Whether `evaluate` knows it: a draw in float32, arithmetic, or one number."""
    name, params = equation.primitive.name, equation.params
    if name in ("jit", "pjit"):
        return params["name"] in DRAWS and equation.outvars[0].aval.dtype == np.float32
    one = all(math.prod(variable.aval.shape) == 1 for variable in equation.outvars)
    return name in (*RULES, *IN_PLACE) or (
        one and not any(hasattr(value, "jaxpr") for value in params.values())
    )


def needed(jaxpr: Any, outvars: Sequence[Any]) -> list[tuple[Equation, list[Any]]]:
    """The equations that `outvars` depend on, each with those of its results that do.

    The net's forward pass is not among them.
    """
    wanted, found = set(variables(outvars)), []
    for equation in reversed(jaxpr.eqns):
        if own := [variable for variable in equation.outvars if variable in wanted]:
            found.append((equation, own))
            wanted.update(variables(equation.invars))
    return found[::-1]


def variables(atoms: Sequence[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, jax.extend.core.Literal)]


def can_hold(value: Any, equation: Equation) -> bool:
    """Whether the result of an equation may take the memory of an array that is not read again."""
    like = equation.outvars[0].aval
    writeable = isinstance(value, np.ndarray) and value.flags.writeable
    return writeable and (value.shape, value.dtype) == (like.shape, like.dtype)


def evaluate(
    equation: Equation, wanted: list[Any], inputs: list[Any], place: np.ndarray | None = None
) -> list[Any]:
    """The `wanted` results of one equation, in `place` where its rule takes one."""
    name = equation.primitive.name
    if name in ("jit", "pjit") and (draw := DRAWS.get(equation.params["name"])):
        numbers = drawn(*draw, equation.outvars[0].aval, *inputs)
        if draw[0] is standard_normal:
            scaled = Scaled(numbers, ROOT_OF_TWO)
            return [scaled if JOINS_CONSTANTS else settled(scaled, {})]
        return [numbers]
    if name == "mul" and isinstance(inputs[0], Scaled) and np.ndim(inputs[1]) == 0:
        numbers, factor = inputs[0]
        return [Scaled(numbers, np.float32(factor * np.float32(inputs[1])))]
    inputs = [plain(x) for x in inputs]
    if name in IN_PLACE:
        dtype = equation.outvars[0].aval.dtype
        return [IN_PLACE[name](*(np.asarray(x, dtype) for x in inputs), out=place)]
    if name in RULES:
        return [RULES[name](equation, *inputs)]

    found = bind(equation, inputs)
    return [x for x, own in zip(found, equation.outvars, strict=True) if own in wanted]


def plain(value: Any) -> Any:
    return value.numbers * value.factor if isinstance(value, Scaled) else value


def settled(value: Any, others: Mapping[Any, Any]) -> Any:
    """`plain`, in the numbers' own memory where none of the `others` is of them."""
    if not isinstance(value, Scaled):
        return value
    shared = any(isinstance(x, Scaled) and x.numbers is value.numbers for x in others.values())
    return np.multiply(*value, out=None if shared else value.numbers)


def drawn(
    draw: Callable[..., jax.Array], bounds: tuple[str, ...], like: Any, key: jax.Array, *given: Any
) -> np.ndarray:
    """Random numbers of the shape and type of `like`, within the bounds that are `given`."""
    words, piece = np.asarray(jax.random.key_data(key)), compiled_piece(draw, bounds, like.dtype)

    def numbers(start: int) -> jax.Array:
        place = np.array([*words, start >> 32, start % 2**32], np.uint32)
        return piece(place, *given)

    return in_pieces(numbers, like)


def in_pieces(piece: Callable[[int], jax.Array], like: Any) -> np.ndarray:
    """An array of the shape and type of `like`, of `PIECE` numbers that begin at each start."""
    numbers = apart(like.shape, like.dtype)  # moved to a device without a copy on the way
    in_a_row = numbers.reshape(-1)

    def fill(start: int) -> None:
        part = in_a_row[start : start + PIECE]
        part[:] = np.asarray(piece(start))[: part.size]

    starts = range(0, in_a_row.size, PIECE)
    fill(starts[0])  # which compiles it
    with concurrent.futures.ThreadPoolExecutor() as threads:
        collections.deque(threads.map(fill, starts[1:]), maxlen=0)
    return numbers


@functools.cache
def compiled_piece(
    draw: Callable[..., jax.Array], bounds: tuple[str, ...], dtype: Any
) -> Callable[..., jax.Array]:
    def numbers(place: jax.Array, *given: Any) -> jax.Array:
        key = jax.random.wrap_key_data(place, impl=PIECES)
        return draw(key, shape=(PIECE,), dtype=dtype, **dict(zip(bounds, given, strict=True)))

    return sharding.jit_once(numbers)


def bits_from(place: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """Those that a key gives the entries from a place on; `place` is (key, high, low of the index).

    A piece begins at a multiple of its length, so that the low word does not overflow.
    """
    assert bit_width == 32, bit_width
    count = math.prod(shape)
    low = place[3] + jnp.arange(count, dtype=jnp.uint32)
    index = jnp.concatenate([jnp.full(count, place[2], jnp.uint32), low])
    high_bits, low_bits = threefry_2x32(place[:2], index).reshape(2, count)
    return (high_bits ^ low_bits).reshape(shape)


def refuse(*_: Any) -> Any:
    raise NotImplementedError("a place among the numbers of a key gives no other keys")


PIECES = define_prng_impl(
    key_shape=(4,), seed=refuse, split=refuse, fold_in=refuse, random_bits=bits_from, name="pieces"
)


def broadcast(equation: Equation, x: Any, *_: Any) -> np.ndarray:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    x = np.asarray(x, equation.outvars[0].aval.dtype)
    placed = [x.shape[axes.index(axis)] if axis in axes else 1 for axis in range(len(shape))]
    spread = np.broadcast_to(x.reshape(placed), shape)
    return spread if x.size == 1 else spread.copy()  # a view would share what may be written over


def copy(equation: Equation, x: Any) -> np.ndarray:
    return np.array(x, equation.outvars[0].aval.dtype)


@functools.cache
def erf_inv_of_piece() -> Callable[[Any], jax.Array]:
    """Compiled when it is first needed: an import must not start JAX's backend."""
    return sharding.jit_once(jax.lax.erf_inv)


def erf_inv(equation: Equation, x: Any) -> np.ndarray:
    """What `jax.random.normal` ends with, traced by itself from JAX 0.12 on."""
    like = equation.outvars[0].aval
    numbers = np.asarray(x, like.dtype).ravel()

    def piece(start: int) -> jax.Array:
        part = numbers[start : start + PIECE]
        return erf_inv_of_piece()(np.pad(part, (0, PIECE - part.size)))

    return in_pieces(piece, like)


def divide(equation: Equation, x: Any, by: Any) -> np.ndarray:
    """As XLA divides a map by a constant: by its reciprocal."""
    dtype = equation.outvars[0].aval.dtype
    x, by = np.asarray(x, dtype), np.asarray(by, dtype)
    return x * (np.ones((), dtype) / by) if np.ndim(x) else x / by


# What IEEE says of these is the same in NumPy and in XLA.
IN_PLACE: dict[str, np.ufunc] = {"mul": np.multiply, "sqrt": np.sqrt}
RULES: dict[str, Callable[..., np.ndarray]] = {
    "broadcast_in_dim": broadcast,
    "copy": copy,
    "div": divide,
    "erf_inv": erf_inv,
}
