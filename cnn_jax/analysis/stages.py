"""A net's layers and stages: shapes, kernels, parameters, multiply-adds, memory, receptive field.

Everything is read from one abstract trace in evaluation mode: nothing is compiled or computed, and
ResNet-152 takes a second. Multiply-adds are those of convolutions and dense layers, as papers count
them: kernel weights times output positions, which holds for grouped, depthwise and partially
connected layers alike. Activation memory is what convolutions, dense layers and pools put out for
one image in float32; norms and non-linearities can be recomputed or fused and are left out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from cnn_jax import ops
from cnn_jax.analysis.receptive import Field, Window, propagate, without_unused
from cnn_jax.models.variables import flatten

Windows = tuple[Window, Window]  # of rows and columns
BYTES = 4
UNNAMED = ""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution, a dense layer or a pool. Pairs are of rows and columns."""

    path: str
    kind: str  # conv, dense, max_pool, avg_pool, global_pool
    output: tuple[int, ...]  # one image's
    windows: Windows | None  # None where a position sees the whole image
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    groups: int = 1
    parameters: int = 0
    multiply_adds: int = 0

    @property
    def memory(self) -> int:
        """Bytes of its output in float32."""
        return BYTES * math.prod(self.output)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A top-level module with all that it holds, or a pool between two."""

    name: str
    layers: tuple[Layer, ...]
    output: tuple[int, ...]
    windows: Windows | None
    stride: tuple[int, int] | None
    parameters: int  # norms' included

    @property
    def kernels(self) -> list[tuple[int, int]]:
        """The sizes of kernel within, each once, in order."""
        return list(dict.fromkeys(layer.kernel for layer in self.layers if layer.kernel))

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def memory(self) -> int:
        return sum(layer.memory for layer in self.layers)


@dataclasses.dataclass(frozen=True)
class Summary:
    """A net for one size of image."""

    input_shape: tuple[int, int, int]
    stages: tuple[Stage, ...]
    parameters: int  # of the heads that only training uses, too
    auxiliary_parameters: int  # of those heads alone
    statistics: int

    @property
    def layers(self) -> list[Layer]:
        return [layer for stage in self.stages for layer in stage.layers]

    @property
    def multiply_adds(self) -> int:
        return sum(stage.multiply_adds for stage in self.stages)

    @property
    def memory(self) -> int:
        return sum(stage.memory for stage in self.stages)

    @property
    def inference_parameters(self) -> int:
        """Those that evaluation uses."""
        return self.parameters - self.auxiliary_parameters

    @property
    def dense_parameters(self) -> int:
        """Those of fully connected layers."""
        return sum(layer.parameters for layer in self.layers if layer.kind == "dense")

    @property
    def windows(self) -> Windows | None:
        """The widest receptive field: what the classifier's inputs have seen."""
        all_windows = [stage.windows for stage in self.stages if stage.windows]
        return max(all_windows, key=lambda w: w[0].size, default=None)


def summarize(module: nn.Module, input_shape: tuple[int, int, int]) -> Summary:
    """The summary of a net for images of `input_shape`, [height, width, channels]."""
    events, variables = trace(module, input_shape)
    shapes = {
        kind: {path: leaf.shape for path, leaf in flatten(tree).items()}
        for kind, tree in variables.items()
    }
    stages = group_stages(events, shapes["params"])
    parameters = sum(map(math.prod, shapes["params"].values()))
    return Summary(
        input_shape,
        stages,
        parameters,
        auxiliary_parameters=parameters - sum(stage.parameters for stage in stages),
        statistics=sum(map(math.prod, shapes.get("batch_stats", {}).values())),
    )


@dataclasses.dataclass(frozen=True)
class Event:
    """The end of a module's call, or a pool: what went in and what came out."""

    path: str
    kind: str  # module, or a pool's
    source: tuple[int, ...]
    output: tuple[int, ...]
    windows_in: Windows | None
    windows: Windows | None

    def layer(self, shapes: dict[str, tuple[int, ...]]) -> Layer | None:
        """The layer that ended here, if it was one: a pool, or a module with a kernel."""
        kernel = shapes.get(f"{self.path}/kernel")
        if self.kind == "module" and kernel is None:
            return None
        size, stride, padding = geometry(self.windows_in, self.windows)
        layer = Layer(self.path, self.kind, self.output, self.windows, size, stride, padding)
        if kernel is None:
            return layer
        dense = len(kernel) == 2
        return dataclasses.replace(
            layer,
            kind="dense" if dense else "conv",
            kernel=None if dense else size,
            groups=self.source[-1] // kernel[2] if len(kernel) == 4 else 1,
            parameters=math.prod(kernel) + math.prod(shapes.get(f"{self.path}/bias", (0,))),
            multiply_adds=math.prod(kernel) * math.prod(self.output[:-1]),
        )


def trace(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[list[Event], dict]:
    """What happens in an evaluation, in order; and the variables' shapes.

    One trace of `init` gives both. It runs the auxiliary heads too: what the logits do not depend
    on is left out.
    """

    def mark(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        """Names a module's input and output in the traced program."""
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        path = "/".join(context.module.path)
        out = call(checkpoint_name(args[0], f"in {path}"), *args[1:], **kwargs)
        return jax.tree.map(lambda a: checkpoint_name(a, f"out {path}"), out)

    def init(x: jax.Array) -> Any:
        key = jax.random.key(0)
        return module.init_with_output({"params": key, "dropout": key}, x, mutable=True)

    images = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    with ops.reference_ops(), nn.intercept_methods(mark):
        closed, initialised = jax.make_jaxpr(init, return_shape=True)(images)
    outputs = closed.jaxpr.outvars
    program = without_unused(closed.jaxpr, outputs[:1])  # the first output is the logits
    names = sown_names(initialised, outputs)
    events: list[Event] = []
    entered: dict[str, tuple[tuple[int, ...], Windows | None]] = {}

    def visit(equation: Any, scope: str, inputs: list[Field], outputs: list[Field]) -> None:
        name = equation.primitive.name
        owner = "/".join(scope.split("/")[1:])  # the first is the net's class
        before, after = windows_of(inputs[:1]), windows_of(outputs[:1])
        if name == "name":
            end, _, path = equation.params["name"].partition(" ")
            shape = equation.outvars[0].aval.shape[1:]
            if end == "in":
                entered[path] = (shape, before)
            elif path:
                source, windows = entered[path]
                events.append(Event(path, "module", source, shape, windows, after))
        elif kind := pool_kind(name, owner, before, after):
            source, output = (v.aval.shape[1:] for v in (equation.invars[0], equation.outvars[0]))
            path = f"{owner}/{kind}" if owner else UNNAMED
            events.append(Event(path, kind, source, output, before, after))
        # A mean is a sum and a division: the pool's name comes with the last of its operations.
        if events and events[-1].path == UNNAMED and names.keys() & set(equation.outvars):
            named = next(names[v] for v in equation.outvars if v in names)
            events[-1] = dataclasses.replace(events[-1], path=named)

    propagate(program, [{1: Window(), 2: Window()}], visit)
    for i, event in enumerate(events):
        if event.path == UNNAMED:
            events[i] = dataclasses.replace(event, path=f"{event.kind}_{i}")
    return events, {k: initialised[1][k] for k in ("params", "batch_stats") if k in initialised[1]}


def sown_names(initialised: Any, variables: Iterable[Any]) -> dict[Any, str]:
    """Which of a program's output variables the net itself has sown, and under which names."""
    names = {}
    leaves = jax.tree_util.tree_leaves_with_path(initialised)
    for (path, _), variable in zip(leaves, variables, strict=True):
        keys = [getattr(key, "key", None) for key in path]
        if keys[1:2] == ["intermediates"] and len(keys) == 4:  # deeper ones are a module's within
            names[variable] = keys[2]
    return names


def windows_of(fields: list[Field]) -> Windows | None:
    """Those of rows and columns of the first array, [B, H, W, C]; None for a vector."""
    field = fields[0] if fields else {}
    return (field[1], field[2]) if 1 in field and 2 in field else None


def pool_kind(name: str, owner: str, before: Windows | None, after: Windows | None) -> str | None:
    """Which pool an operation is, if it is one; a gate's global mean is not."""
    if name.startswith("reduce_window") and before and after and before != after:
        return "max_pool" if name.endswith("max") else "avg_pool"
    if name in ("reduce_sum", "reduce_max") and not owner and before and not after:
        return "global_pool"
    return None


def geometry(before: Windows | None, after: Windows | None) -> tuple[Any, Any, Any]:
    """Kernel, stride and padding of what led from one receptive field to another."""
    if not before or not after:
        return None, None, None
    pairs = list(zip(before, after, strict=True))
    return (
        tuple((b.size - a.size) // a.jump + 1 for a, b in pairs),
        tuple(b.jump // a.jump for a, b in pairs),
        tuple((a.low - b.low) // a.jump for a, b in pairs),
    )


def group_stages(events: Iterable[Event], shapes: dict[str, tuple[int, ...]]) -> tuple[Stage, ...]:
    """Events and parameters by top-level module; a norm goes with the layer that it is named by."""
    heads = {path.split("/")[0] for path in shapes}

    def top(path: str) -> str:
        head = path.split("/")[0]
        base = head.removesuffix("_norm")
        return base if base in heads else head

    parameters: dict[str, int] = {}
    for path, shape in shapes.items():
        parameters[top(path)] = parameters.get(top(path), 0) + math.prod(shape)
    grouped: dict[str, list[Event]] = {}
    for event in events:
        grouped.setdefault(top(event.path), []).append(event)
    stages = []
    for name, within in grouped.items():
        layers = {}
        for layer in filter(None, (event.layer(shapes) for event in within)):
            earlier = layers.get(layer.path)  # one module may be called more than once
            layers[layer.path] = layer if earlier is None else add_call(earlier, layer)
        count = parameters.get(name, 0)
        if not layers and not count:
            continue
        ends = [event for event in within if "/" not in event.path] or within
        _, stride, _ = geometry(ends[0].windows_in, ends[-1].windows)
        last = ends[-1]
        stages.append(Stage(name, tuple(layers.values()), last.output, last.windows, stride, count))
    return tuple(stages)


def add_call(earlier: Layer, later: Layer) -> Layer:
    """A module's layer after another call: its parameters are there once."""
    total = earlier.multiply_adds + later.multiply_adds
    return dataclasses.replace(later, multiply_adds=total)
