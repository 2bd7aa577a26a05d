"""What a compiled step costs, as its compiler says: operations, bytes, memory, collectives."""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from typing import Any

from cnn_jax.analysis.main_memory import main_memory_bytes, width

# "f32[64,3]" within the text of a program
SHAPE = re.compile(r"\b(pred|bf16|[usf]\d+|f8\w+)\[([\d,]*)\]")
COLLECTIVE = re.compile(
    r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
# The part of a chip's result that it sends, n chips in a ring: (n - 1) / n times this.
SENT = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1, "all-to-all": 1}


@dataclasses.dataclass(frozen=True)
class Collective:
    """All of one kind in a step: how many, and the bytes of their results on a chip."""

    kind: str
    count: int
    size: int


@dataclasses.dataclass(frozen=True)
class ProgramCosts:
    """Of one step, a chip."""

    flops: float
    touched: float  # bytes that operations read and write, in whatever memory: XLA's own count
    moved: float  # bytes to and from main memory; as many as `touched` where XLA says no more
    temporary: int  # bytes
    code: int  # bytes
    collectives: tuple[Collective, ...]

    def sent(self, chips: int) -> float:
        """Bytes that leave a chip, by rings."""
        share = (chips - 1) / chips
        factors = {kind: times * share for kind, times in SENT.items()}
        return sum(c.size * factors.get(c.kind, 1) for c in self.collectives)


def costs_of(compiled: Any, platform: str = "cpu") -> ProgramCosts:
    """Of a `jax.stages.Compiled` for "cpu", "gpu" or "tpu"; a loop is counted once.

    A TPU's program says where its arrays lie, so that what stays in the fast memory is left out.
    """
    costs, memory, text = compiled.cost_analysis(), compiled.memory_analysis(), compiled.as_text()
    touched = costs.get("bytes accessed", math.nan)
    return ProgramCosts(
        flops=costs.get("flops", math.nan),
        touched=touched,
        moved=sum(main_memory_bytes(text, trips=1)) if platform == "tpu" else touched,
        temporary=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        collectives=collectives(text),
    )


def collectives(text: str) -> tuple[Collective, ...]:
    """Of a program's text, by kind."""
    counts: collections.Counter[str] = collections.Counter()
    sizes: collections.Counter[str] = collections.Counter()
    for result, kind in COLLECTIVE.findall(text):
        counts[kind] += 1
        sizes[kind] += sum(
            width(dtype) * math.prod(int(n) for n in shape.split(",") if n)
            for dtype, shape in SHAPE.findall(result)
        )
    return tuple(Collective(kind, counts[kind], sizes[kind]) for kind in sorted(counts))
