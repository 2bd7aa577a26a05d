"""The operations of `cases.py` in PyTorch."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from benchmarks.speed.cases import Case


def build(case: Case, compiled: bool, layout: torch.memory_format, device: str) -> Callable:
    """A call that computes the value and the gradients."""
    o = case.options
    x = torch.randn(case.batch, case.channels, case.size, case.size, device=device)
    x = x.to(memory_format=layout)
    weights = [w.to(device) for w in make_weights(case)]
    weights = [w.to(memory_format=layout) if w.ndim == 4 else w for w in weights]
    wanted = weights if o.get("first") else [x, *weights]
    for tensor in wanted:
        tensor.requires_grad_()
    function = FORMS[case.model](case)
    if compiled:
        function = torch.compile(function)
    cotangent = torch.randn_like(function(x, *weights))
    return lambda: torch.autograd.grad(function(x, *weights), wanted, cotangent)


def make_weights(case: Case) -> list[torch.Tensor]:
    o = case.options
    if case.model == "convolution":
        return [torch.randn(o["features"], case.channels // o["groups"], o["window"], o["window"])]
    if case.model == "batch_norm_relu":
        return [torch.randn(case.channels), torch.randn(case.channels)]
    if case.model == "dense":
        return [torch.randn(o["features"], case.channels)]
    return []


def convolution(case: Case) -> Callable:
    o = case.options
    options = {"stride": o["stride"], "padding": o["pad"], "groups": o["groups"]}
    return lambda x, w: functional.conv2d(x, w, **options)


def pool(function: Callable) -> Callable[[Case], Callable]:
    def form(case: Case) -> Callable:
        o = case.options
        return lambda x: function(x, o["window"], o["stride"], o["pad"])

    return form


def batch_norm_relu(case: Case) -> Callable:
    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return functional.relu(functional.batch_norm(x, None, None, scale, bias, training=True))

    return run


def response_norm(case: Case) -> Callable:
    """PyTorch divides alpha by the number of channels."""
    size = case.options["window"]
    return lambda x: functional.local_response_norm(x, size, 1e-4 * size, 0.75, 2.0)


FORMS: dict[str, Callable[[Case], Callable]] = {
    "convolution": convolution,
    "max_pool": pool(functional.max_pool2d),
    "mean_pool": pool(functional.avg_pool2d),
    "global_mean": lambda case: lambda x: x.mean((2, 3)),
    "batch_norm_relu": batch_norm_relu,
    "response_norm": response_norm,
    "relu": lambda case: functional.relu,
    "tanh": lambda case: torch.tanh,
    "dense": lambda case: lambda x, w: functional.linear(x.flatten(1), w),
}
