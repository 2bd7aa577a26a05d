"""Bytes that a compiled TPU program reads from and writes to a chip's main memory.

XLA's own figure, "bytes accessed", adds up what every operation touches, wherever it lies, and the
copies from one memory to the other on top. Here an array counts where it lies in main memory: in
the layout of a compiled array an `S(1)` is the chip's fast memory, and no `S` the main one. An
operation reads each of its operands once, or the slices that it takes of it, and writes its results
once, or the slice that it changes. Arrays count as they lie: `T(8,128)` fills the last two
dimensions up to whole tiles.
"""

from __future__ import annotations

import dataclasses
import math
import re

# "bf16[128,56,56,64]{0,3,2,1:T(8,128)(2,1)S(1)}"
ARRAY = re.compile(r"\b(pred|bf16|[usf]\d+|f8\w+)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
TILE, SPACE = re.compile(r"T\(([\d,]+)\)"), re.compile(r"S\((\d+)\)")
COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
INSTRUCTION = re.compile(r"\s+(ROOT )?%([\w.\-]+) = (.*)$")
CALL = re.compile(r" ([a-z][a-z0-9\-]*)\(")
NAME = re.compile(r"%([\w.\-]+)")
CALLED = re.compile(r"\b(?:calls|to_apply|body)=%?([\w.\-]+)")
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')

# Names and views of what lies there already.
FREE = frozenset(
    "parameter constant bitcast tuple get-tuple-element after-all partition-id replica-id "
    "opt-barrier".split()
)
JOINED = "ConcatBitcast"  # neighbours that are named as one
SLICES = frozenset(("slice", "dynamic-slice", "gather"))
UPDATE = "dynamic-update-slice"


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line: result = operation(arguments), attributes."""

    result: str
    operation: str
    arguments: str
    attributes: str
    is_root: bool

    @property
    def operands(self) -> list[str]:
        return NAME.findall(self.arguments)


Computation = dict[str, Instruction]
Array = tuple[str, str, str, str]  # dtype, sides, order from the last axis, tiles and space


def main_memory_bytes(text: str, trips: int | None = None) -> tuple[int, int]:
    """(read, written) in one run of the program whose compiled text this is.

    A loop that does not say how often it runs counts `trips` times; without it raises `ValueError`.
    """
    computations, entry = parse(text)
    return of_computation(computations, entry, trips)


def parse(text: str) -> tuple[dict[str, Computation], str]:
    """(computations by name, the name of the one that is run)."""
    computations: dict[str, Computation] = {}
    entry, current = "", {}
    for line in text.splitlines():
        if head := COMPUTATION.match(line):
            current = computations.setdefault(head[2], {})
            entry = head[2] if head[1] else entry
        elif found := INSTRUCTION.match(line):
            current[found[2]] = instruction(found[3], bool(found[1]))
    return computations, entry


def instruction(text: str, is_root: bool) -> Instruction:
    """Of "f32[2]{0} add(%a, %b), metadata={...}"; a result may be a tuple of such types."""
    call = CALL.search(text)
    assert call is not None, text
    end = text.index(")", call.end())
    return Instruction(
        text[: call.start()], call[1], text[call.end() : end], text[end + 1 :], is_root
    )


def of_computation(
    computations: dict[str, Computation], name: str, trips: int | None
) -> tuple[int, int]:
    lines = computations[name].values()
    pairs = [of_instruction(computations, computations[name], line, trips) for line in lines]
    return sum(read for read, _ in pairs), sum(written for _, written in pairs)


def of_instruction(
    computations: dict[str, Computation], own: Computation, line: Instruction, trips: int | None
) -> tuple[int, int]:
    """(read, written) by a line of the computation `own`."""
    kind, called = line.operation, CALLED.findall(line.attributes)
    if kind in FREE or kind.endswith("-done") or f'"{JOINED}"' in line.attributes:
        return 0, 0
    if kind in ("while", "call"):
        read, written = of_computation(computations, called[0], trips)
        times = known_trips(line, trips) if kind == "while" else 1
        return times * read, times * written
    results = ARRAY.findall(line.result)
    if kind == "slice-start":  # of ((source), target, context)
        return moved(results[0], results[1])
    if kind == "copy-start":  # of (target, source, context)
        return moved(results[1], results[0])
    within = computations[called[0]] if kind == "fusion" else {}
    inputs = {int(x.arguments): n for n, x in within.items() if x.operation == "parameter"}
    read = 0
    for number, name in enumerate(line.operands):
        operand = own[name].result
        uses = [(name, line)] if not within else users(within, inputs[number])
        parts = sum(part_read(operand, used, by) for used, by in uses)
        read += min(size_in_main_memory(operand), parts)
    root = next((x for x in within.values() if x.is_root), line)
    made = (
        [within[n] for n in root.operands] if root.operation == "tuple" else [root] * len(results)
    )
    written = sum(
        min(part_written(of, within or own), size_of(array)) * in_main_memory(array)
        for array, of in zip(results, made, strict=True)
    )
    return read, written


def moved(source: Array, target: Array) -> tuple[int, int]:
    """By a copy that goes on beside the rest, which reads as many bytes as arrive."""
    size = size_of(target)
    return size * in_main_memory(source), size * in_main_memory(target)


def known_trips(line: Instruction, otherwise: int | None) -> int:
    found = TRIPS.search(line.attributes)
    if found is None and otherwise is None:
        raise ValueError(f"a loop does not say how often it runs: {line.result[:80]}")
    return int(found[1]) if found else otherwise or 0


def users(within: Computation, name: str) -> list[tuple[str, Instruction]]:
    """(the name it is used by, what uses it) of an array; views of it are looked through."""
    found = []
    for other, line in within.items():
        if name in line.operands:
            found += users(within, other) if line.operation == "bitcast" else [(name, line)]
    return found


def part_read(operand: str, name: str, by: Instruction) -> int:
    """Bytes that `by` reads of an operand that it knows as `name`."""
    if name == by.operands[0]:
        if by.operation in SLICES:
            return sum(map(size_of, ARRAY.findall(by.result)))
        if by.operation == UPDATE:
            return 0
    return sum(map(size_of, ARRAY.findall(operand)))


def part_written(made: Instruction, within: Computation) -> int:
    while made.operation == "bitcast":
        made = within[made.operands[0]]
    if made.operation == UPDATE:
        made = within[made.operands[1]]
    return sum(map(size_of, ARRAY.findall(made.result)))


def size_in_main_memory(result: str) -> int:
    return sum(size_of(array) for array in ARRAY.findall(result) if in_main_memory(array))


def in_main_memory(array: Array) -> bool:
    space = SPACE.search(array[3])
    return space is None or space[1] == "0"


def size_of(array: Array) -> int:
    """Bytes, whole tiles."""
    dtype, shape, order, layout = array
    sides = [int(side) for side in shape.split(",") if side]
    rows = [sides[int(axis)] for axis in order.split(",") if axis] or sides[::-1]
    tile = TILE.search(layout)
    if tile is not None:
        for place, side in enumerate(map(int, reversed(tile[1].split(",")))):
            if place < len(rows):
                rows[place] = -(-rows[place] // side) * side
    return width(dtype) * math.prod(rows)


def width(dtype: str) -> int:
    """Bytes of a number: "bf16" -> 2."""
    bits = re.search(r"\d+", dtype)
    return 1 if bits is None else max(1, int(bits[0]) // 8)
