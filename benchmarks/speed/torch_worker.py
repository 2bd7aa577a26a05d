"""PyTorch's side of `benchmarks.speed`: eager or compiled, NCHW or channels_last.

    python -m benchmarks.speed.torch_worker [FILE]

FILE is a Python program that runs first, for an installation that needs one.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness.worker import Stopwatch, Times, cores, peak_memory, serve
from benchmarks.speed import torch_nets, torch_operations
from benchmarks.speed.cases import Case

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HEAD_WEIGHT = 0.3
VERSION = {"version": torch.__version__}


class TorchServer:
    """What `serve` answers with; one case is under way at a time."""

    step: Callable[[], Any]

    def prepare(
        self, case: dict[str, Any], task: str, compiled: bool, channels_last: bool
    ) -> dict[str, Any]:
        """Builds the net and its step, and makes the first, which compiles where asked for."""
        net_case = Case(**case)
        if task == "operate":
            return self.prepare_operation(net_case, compiled, channels_last)
        watch = Stopwatch()
        net = torch_nets.build(net_case)
        multiply_adds = count_multiply_adds(net, net_case)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        net = net.to(DEVICE, memory_format=layout)
        images = torch.randn(
            net_case.batch, net_case.channels, net_case.size, net_case.size, device=DEVICE
        )
        images = images.to(memory_format=layout)
        run = torch.compile(net) if compiled else net
        half = net_case.dtype == "bfloat16"
        cast = torch.autocast(DEVICE, torch.bfloat16) if half else contextlib.nullcontext()
        make = {"train": train_step, "infer": infer_step}[task]
        self.step = make(net, run, images, net_case.classes, cast)
        initialised = watch.read().seconds
        first = self.round(1).seconds
        return {
            "init_seconds": initialised,
            "compile_seconds": max(0.0, first - self.round(1).seconds),
            "parameters": sum(p.numel() for p in net.parameters()),
            "multiply_adds": multiply_adds,
        } | VERSION

    def prepare_operation(self, case: Case, compiled: bool, channels_last: bool) -> dict[str, Any]:
        watch = Stopwatch()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.step = torch_operations.build(case, compiled, layout, DEVICE)
        self.round(1)
        return {"init_seconds": 0.0, "compile_seconds": watch.read().seconds} | VERSION

    def round(self, steps: int) -> Times:
        watch = Stopwatch()
        for _ in range(steps):
            self.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return watch.read()

    def memory(self) -> int:
        """Peak bytes: those on the device, where it has a memory of its own."""
        return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else peak_memory()


def count_multiply_adds(net: torch.nn.Module, case: Case) -> int:
    """Of one image in evaluation, those of convolutions and dense layers."""
    image = torch.zeros(1, case.channels, case.size, case.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(image)
    net.train()
    return counter.get_total_flops() // 2


def train_step(
    net: torch.nn.Module, run: Callable, images: torch.Tensor, classes: int, cast: Any
) -> Callable[[], Any]:
    """Loss of all heads, gradients, Adam in its fused form, which is faster than foreach."""
    labels = torch.randint(0, classes, (len(images),), device=DEVICE)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with cast:
            out = run(images)
            logits, *heads = out if isinstance(out, tuple) else (out,)
            loss = functional.cross_entropy(logits, labels)
            for head in heads:
                loss = loss + HEAD_WEIGHT * functional.cross_entropy(head, labels)
        loss.backward()
        optimizer.step()

    return step


def infer_step(
    net: torch.nn.Module, run: Callable, images: torch.Tensor, classes: int, cast: Any
) -> Callable[[], Any]:
    """The logits."""
    del classes
    net.eval()

    @torch.inference_mode()
    def step() -> None:
        with cast:
            run(images)

    return step


if __name__ == "__main__":
    setup = [runpy.run_path(path) for path in sys.argv[1:]]  # held: it may have registered things
    torch.set_num_threads(cores())
    torch.set_flush_denormal(True)  # as XLA does: moments of idle units fade to denormal numbers
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # the fastest of cuDNN's algorithms, as XLA tries them
    server = TorchServer()
    serve({name: getattr(server, name) for name in ("prepare", "round", "memory")})
