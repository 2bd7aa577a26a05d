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
        operand_fields = [field_of(variable) for variable in equation.invars]
        here = "/".join(filter(None, [scope, str(equation.source_info.name_stack)]))
        inner, operands = None, operand_fields
        if any(operand_fields):
            inner, operands = called_program(equation, operand_fields)
        if inner is not None:
            out = propagate(inner, operands, visit, here)
        else:
            out = [output_field(equation, operand_fields, shape_of(v)) for v in equation.outvars]
        known.update(zip(equation.outvars, out, strict=True))
        visit(equation, here, operand_fields, out)
    return [field_of(variable) for variable in jaxpr.outvars]


def without_unused(jaxpr: Jaxpr, outputs: Sequence[Any]) -> Jaxpr:
    """The program without the equations that `outputs` do not depend on."""
    used_variables = set(outputs)
    equations = []
    for equation in reversed(jaxpr.eqns):
        if not used_variables.isdisjoint(equation.outvars):
            equations.append(equation)
            used_variables.update(v for v in equation.invars if not isinstance(v, Literal))
    return jaxpr.replace(eqns=equations[::-1], outvars=list(outputs))


def called_program(
    equation: JaxprEqn, operand_fields: list[Field]
) -> tuple[Jaxpr | None, list[Field]]:
    """The program that an equation calls, if any, with its operands' fields."""
    if equation.primitive.name == "cond":  # the last branch is the one for every other platform
        return equation.params["branches"][-1].jaxpr, operand_fields[1:]
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(key)
        inner = getattr(inner, "jaxpr", inner)
        # A reduction holds a program too: of two scalars.
        if inner is not None and shapes(inner.invars) == shapes(equation.invars):
            return inner, operand_fields
    return None, operand_fields


def shape_of(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [shape_of(variable) for variable in variables]


def output_field(equation: JaxprEqn, operand_fields: list[Field], shape: tuple[int, ...]) -> Field:
    """The field of an equation's output of that `shape`."""
    name, params = equation.primitive.name, equation.params
    first = operand_fields[0] if operand_fields else {}
    if name == "conv_general_dilated":
        return convolution_field(params, first, shape_of(equation.invars[1]))
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
        return product_field(params, operand_fields, equation.invars)
    moves = axis_moves(equation)
    if moves is not None:
        return {moves[axis]: window for axis, window in first.items() if axis in moves}
    return joined_field(
        [(f, shape_of(v)) for f, v in zip(operand_fields, equation.invars, strict=True)], shape
    )


def convolution_field(params: dict, field: Field, kernel: tuple[int, ...]) -> Field:
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


def product_field(params: dict, operand_fields: list[Field], operands: Sequence[Any]) -> Field:
    """Axes that a product keeps: those of its batch, then the left's, then the right's."""
    contracted, batch = params["dimension_numbers"]
    leading = list(batch[0])
    out = {leading.index(a): window for a, window in operand_fields[0].items() if a in leading}
    position = len(leading)
    for side, (field, operand) in enumerate(zip(operand_fields, operands, strict=True)):
        for axis in range(len(shape_of(operand))):
            if axis not in contracted[side] and axis not in batch[side]:
                if axis in field:
                    out[position] = field[axis]
                position += 1
    return out


def axis_moves(equation: JaxprEqn) -> dict[int, int] | None:
    """Axis in -> axis out of the operations that only move or drop axes; None for others."""
    name, params = equation.primitive.name, equation.params
    if not equation.invars:
        return None
    rank = len(shape_of(equation.invars[0]))
    if name == "transpose":
        return {axis: i for i, axis in enumerate(params["permutation"])}
    if name == "broadcast_in_dim":
        return dict(enumerate(params["broadcast_dimensions"]))
    if name == "squeeze":
        remaining = [axis for axis in range(rank) if axis not in params["dimensions"]]
        return {axis: i for i, axis in enumerate(remaining)}
    if name == "stack":
        return {axis: axis + (axis >= params["axis"]) for axis in range(rank)}
    if name == "reshape":
        return kept_axes(shape_of(equation.invars[0]), shape_of(equation.outvars[0]))
    if "axes" in params and (name.startswith("reduce_") or name in ("argmax", "argmin")):
        remaining = [axis for axis in range(rank) if axis not in params["axes"]]
        return {axis: i for i, axis in enumerate(remaining)}
    return None


def kept_axes(before: tuple[int, ...], after: tuple[int, ...]) -> dict[int, int]:
    """Axes that a reshape leaves whole; the first axis is the batch's, and no other becomes it."""
    out = {}
    for axis, side in enumerate(before):
        for i, other in enumerate(after):
            same = side == other and math.prod(before[:axis]) == math.prod(after[:i])
            if same and (axis == 0) == (i == 0) and i not in out.values():
                out[axis] = i
                break
    return out


def joined_field(operands: list[tuple[Field, tuple[int, ...]]], shape: tuple[int, ...]) -> Field:
    """Position by position: the joint windows of all operands that have the output's axes."""
    out: Field = {}
    for field, sides in operands:
        if len(sides) != len(shape):
            continue
        for axis, window in field.items():
            if sides[axis] == shape[axis]:
                out[axis] = out[axis].join(window) if axis in out else window
    return out
