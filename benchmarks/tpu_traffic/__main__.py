"""What our training steps move and hold on a TPU, against Flax's ImageNet example.

    python -m benchmarks.tpu_traffic [--nets=resnet50] [--on=v5e:1x1,v5e:2x4] [--resume]

No TPU is needed: both programs are compiled for one that is not there (`pip install
'cnn_jax[plan]'`), with 128 images of 224 px a chip, in bfloat16, with momentum, over as many
parameters, and counted by the same functions. A compilation takes minutes on two cores; rows are
written one by one, and `--resume` leaves out those that the same commit has. One process at a time
may use the compiler.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.result_files import write_json

Row = dict[str, Any]
GIGA = 1e9


def main(argv: Sequence[str]) -> None:
    del argv
    import jax

    jax.config.update("jax_platforms", "cpu")  # no device is used, and libtpu would look for one
    jax.config.update("jax_enable_compilation_cache", False)  # these could not be read again
    from benchmarks.harness.machine import machine
    from benchmarks.tpu_traffic.compiled import NETS, PROGRAMS, compiled, figures
    from cnn_jax.analysis import chips

    for name in NETS_FLAG.value:
        if name not in NETS:
            raise unknown("--nets", name, NETS)
    path = Path(OUT.value)
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    on = machine() | {"libtpu": libtpu_version()}
    for target in ON.value:
        chip, devices = chips.devices_of(target, "jit")
        for name in NETS_FLAG.value:
            place = {"net": name, "on": target}
            row = {**place, "chips": devices.count, "machine": on}
            if RESUME.value and any(is_done(other, row) for other in rows):
                continue
            for program in PROGRAMS:
                row[program] = figures(*compiled(name, program, devices), chip)
            counts = {row[program]["parameters"] for program in PROGRAMS}
            if len(counts) > 1:
                raise UserError(f"{name}: the two nets have other parameters: {sorted(counts)}")
            rows = [other for other in rows if not same_place(other, row)] + [row]
            write_json(path, rows)
    print("\n".join(table(rows)))


def same_place(row: Row, other: Row) -> bool:
    return (row["net"], row["on"]) == (other["net"], other["on"])


def is_done(row: Row, other: Row) -> bool:
    return same_place(row, other) and row["machine"]["commit"] == other["machine"]["commit"]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown, ours / Flax's and the ratio; of main memory also by XLA's own figure."""
    yield (
        "| | GB moved, ours / Flax | ratio | by XLA's figure | GB held | ratio | TFLOP | "
        "ms at the peaks |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        ours, flax = row["ours"], row["flax"]

        def pair(key: str, scale: float, digits: int, ours: Row = ours, flax: Row = flax) -> str:
            return " / ".join(f"{of[key] / scale:.{digits}f}" for of in (ours, flax))

        def ratio(key: str, ours: Row = ours, flax: Row = flax) -> str:
            return f"{ours[key] / flax[key]:.2f}"

        least = [max(of["compute_seconds"], of["memory_seconds"]) for of in (ours, flax)]
        yield (
            f"| {row['net']}, {row['on']} | {pair('moved_bytes', GIGA, 1)} | "
            f"{ratio('moved_bytes')} | {ratio('xla_bytes_accessed')} | "
            f"{pair('held_bytes', GIGA, 2)} | {ratio('held_bytes')} | {pair('flops', 1e12, 2)} | "
            f"{least[0] * 1e3:.1f} / {least[1] * 1e3:.1f} |"
        )


def libtpu_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("libtpu")
    except PackageNotFoundError:
        return "none"


if __name__ == "__main__":  # flags only here, so that the tests can import this
    NETS_FLAG = flags.DEFINE_list("nets", ["resnet50", "googlenet", "efficientnet_b0"], "Of these.")
    ON = flags.DEFINE_list("on", ["v5e:1x1", "v5e:2x4"], 'Targets, like "v5e:2x4".')
    RESUME = flags.DEFINE_bool("resume", False, "Leave out what this commit has compiled.")
    OUT = cli.define_file("out", "benchmarks/results/tpu_traffic.json", "File for the rows.")
    cli.run(main)
