"""Receptive fields by arithmetic on a traced program: exact for every branch, nothing computed.

Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks", Distill 2019,
follows a window backwards through layers. Here it goes forwards through the equations of a jaxpr:
each array's spatial axes carry a `Window` of the input, convolutions and pools widen it, additions
and concatenations join the windows of their operands.

A squeeze-and-excitation gate sees the whole image. As that would make every window the image, an
array without spatial axes says nothing: windows are those of the convolutional paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, JaxprEqn, Literal


class Window(NamedTuple):
    """Position p of an axis sees the image's pixels jump * p + low ... jump * p + high."""

    jump: int = 1
    low: int = 0
    high: int = 0

    @property
    def size(self) -> int:
        """The receptive field, in pixels."""
        return self.high - self.low + 1

    @property
    def padding(self) -> int:
        """How far the first position's window reaches out of the image."""
        return -self.low

    def slide(self, kernel: int, stride: int, before: int, dilation: int = 1) -> Window:
        """After a kernel that starts `before` positions ahead of the axis."""
        before = int(before)  # NumPy's where a pad was computed
        low = self.low - self.jump * before
        high = self.high + self.jump * ((kernel - 1) * dilation - before)
        return Window(self.jump * stride, low, high)

    def join(self, other: Window) -> Window:
        """What both see together."""
        return Window(
            max(self.jump, other.jump), min(self.low, other.low), max(self.high, other.high)
        )


Field = dict[int, Window]  # axis of an array -> window; without the axes that are not spatial
Visit = Callable[[JaxprEqn, str, list[Field], list[Field]], None]


def propagate(jaxpr: Jaxpr, fields: Sequence[Field], visit: Visit, scope: str = "") -> list[Field]:
    """The fields of the program's outputs, from those of its inputs.

    `visit(equation, scope, fields in, fields out)` is called after each equation, innermost first;
    `scope` names the modules that it belongs to.
    """
    known: dict[Any, Field] = dict(zip(jaxpr.invars, fields, strict=True))

    def field_of(variable: Any) -> Field:
        return {} if isinstance(variable, Literal) else known.get(variable, {})

    for equation in jaxpr.eqns:
        seen = [field_of(variable) for variable in equation.invars]
        here = "/".join(filter(None, [scope, str(equation.source_info.name_stack)]))
        inner, operands = called(equation, seen) if any(seen) else (None, seen)
        if inner is not None:
            out = propagate(inner, operands, visit, here)
        else:
            out = [through(equation, seen, v.aval.shape) for v in equation.outvars]
        known.update(zip(equation.outvars, out, strict=True))
        visit(equation, here, seen, out)
    return [field_of(variable) for variable in jaxpr.outvars]


def needed(jaxpr: Jaxpr, outputs: Sequence[Any]) -> Jaxpr:
    """The program without the equations that `outputs` do not depend on."""
    wanted = set(outputs)
    kept = []
    for equation in reversed(jaxpr.eqns):
        if not wanted.isdisjoint(equation.outvars):
            kept.append(equation)
            wanted.update(v for v in equation.invars if not isinstance(v, Literal))
    return jaxpr.replace(eqns=kept[::-1], outvars=list(outputs))


def called(equation: JaxprEqn, seen: list[Field]) -> tuple[Jaxpr | None, list[Field]]:
    """The program that an equation calls, if any, with its operands' fields."""
    if equation.primitive.name == "cond":  # the last branch is the one for every other platform
        return equation.params["branches"][-1].jaxpr, seen[1:]
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(key)
        inner = getattr(inner, "jaxpr", inner)
        # A reduction holds a program too: of two scalars.
        if inner is not None and shapes(inner.invars) == shapes(equation.invars):
            return inner, seen
    return None, seen


def shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [variable.aval.shape for variable in variables]


def through(equation: JaxprEqn, seen: list[Field], shape: tuple[int, ...]) -> Field:
    """The field of an equation's output of that `shape`."""
    name, params = equation.primitive.name, equation.params
    first = seen[0] if seen else {}
    if name == "conv_general_dilated":
        return through_convolution(params, first, equation.invars[1].aval.shape)
    if name.startswith("reduce_window"):
        sides = zip(
            params["window_dimensions"],
            params["window_strides"],
            [before for before, _ in params["padding"]],
            params["window_dilation"],
            strict=True,
        )
        slides = list(sides)
        return {axis: window.slide(*slides[axis]) for axis, window in first.items()}
    if name == "slice":
        starts = params["start_indices"]
        strides = params["strides"] or (1,) * len(starts)
        return {axis: w.slide(1, strides[axis], -starts[axis]) for axis, w in first.items()}
    if name == "pad":
        config = params["padding_config"]
        return {axis: w.slide(1, 1, config[axis][0]) for axis, w in first.items()}
    if name == "dot_general":
        return through_product(params, seen, equation.invars)
    moved = moved_axes(equation)
    if moved is not None:
        return {moved[axis]: window for axis, window in first.items() if axis in moved}
    return join_alike(
        [(f, v.aval.shape) for f, v in zip(seen, equation.invars, strict=True)], shape
    )


def through_convolution(params: dict, field: Field, kernel: tuple[int, ...]) -> Field:
    numbers = params["dimension_numbers"]
    out = {}
    for i, (source, target) in enumerate(
        zip(numbers.lhs_spec[2:], numbers.out_spec[2:], strict=True)
    ):
        if source in field:
            out[target] = field[source].slide(
                kernel[numbers.rhs_spec[2 + i]],
                params["window_strides"][i],
                params["padding"][i][0],
                params["rhs_dilation"][i],
            )
    return out


def through_product(params: dict, seen: list[Field], operands: Sequence[Any]) -> Field:
    """Axes that a product keeps: those of its batch, then the left's, then the right's."""
    contracted, batch = params["dimension_numbers"]
    kept = list(batch[0])
    out = {kept.index(axis): window for axis, window in seen[0].items() if axis in kept}
    position = len(kept)
    for side, (field, operand) in enumerate(zip(seen, operands, strict=True)):
        for axis in range(len(operand.aval.shape)):
            if axis not in contracted[side] and axis not in batch[side]:
                if axis in field:
                    out[position] = field[axis]
                position += 1
    return out


def moved_axes(equation: JaxprEqn) -> dict[int, int] | None:
    """Axis in -> axis out of the operations that only move or drop axes; None for others."""
    name, params = equation.primitive.name, equation.params
    if not equation.invars:
        return None
    rank = len(equation.invars[0].aval.shape)
    if name == "transpose":
        return {axis: i for i, axis in enumerate(params["permutation"])}
    if name == "broadcast_in_dim":
        return dict(enumerate(params["broadcast_dimensions"]))
    if name == "squeeze":
        kept = [axis for axis in range(rank) if axis not in params["dimensions"]]
        return {axis: i for i, axis in enumerate(kept)}
    if name == "stack":
        return {axis: axis + (axis >= params["axis"]) for axis in range(rank)}
    if name == "reshape":
        return unreshaped_axes(equation.invars[0].aval.shape, equation.outvars[0].aval.shape)
    if "axes" in params and (name.startswith("reduce_") or name in ("argmax", "argmin")):
        kept = [axis for axis in range(rank) if axis not in params["axes"]]
        return {axis: i for i, axis in enumerate(kept)}
    return None


def unreshaped_axes(before: tuple[int, ...], after: tuple[int, ...]) -> dict[int, int]:
    """Axes that a reshape leaves whole; the first axis is the batch's, and no other becomes it."""
    out = {}
    for axis, side in enumerate(before):
        for i, other in enumerate(after):
            same = side == other and math.prod(before[:axis]) == math.prod(after[:i])
            if same and (axis == 0) == (i == 0) and i not in out.values():
                out[axis] = i
                break
    return out


def join_alike(operands: list[tuple[Field, tuple[int, ...]]], shape: tuple[int, ...]) -> Field:
    """Position by position: the joint windows of all operands that have the output's axes."""
    out: Field = {}
    for field, sides in operands:
        if len(sides) != len(shape):
            continue
        for axis, window in field.items():
            if sides[axis] == shape[axis]:
                out[axis] = out[axis].join(window) if axis in out else window
    return out
