"""The losses of short runs, written down: to the bit for each processor and jaxlib.

    python -m tests.training.golden_losses     writes those of this machine, in place of older ones

Bits depend on jaxlib, on the number of cores, and on what the processor is: its instructions and
its caches, by which products of matrices are cut up. Elsewhere the losses agree nearly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness.worker import cores

FILE = Path(__file__).with_suffix(".json")
RUNS = {  # name -> config and changes; every step is logged
    "lenet5": "lenet5 --config.epochs=0.6",
    "bn_lenet": "bn_lenet --config.epochs=0.6",
    "resnet20_cifar": "resnet20_cifar:digits --config.epochs=0.3",
}
OF_PROCESSOR = ("vendor_id", "cpu family", "model", "model name", "cache size")


def place() -> str:
    """What the bits depend on here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    wide = sorted(f for f in facts.get("flags", "").split() if f.startswith(("avx", "fma", "amx")))
    words = [facts.get(key, "unknown") for key in OF_PROCESSOR]
    return f"jaxlib {version('jaxlib')}, {cores()} cores, {' '.join(words + wide)}"


def losses(name: str) -> list[float]:
    """Of every step of a run, by the command, with its own flags and a cache that is empty."""
    unset = ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "CNN_JAX_NATIVE")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    config, *changes = RUNS[name].split()
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": f"{folder}/programs"}
        command = (
            *(sys.executable, "-m", "cnn_jax.main", f"--config={config}", *changes),
            *("--config.log_every_steps=1", "--config.steps_per_dispatch=1"),
            f"--workdir={folder}/run",
        )
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rows = Path(f"{folder}/run/metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, rows) if "loss" in row]


def read() -> dict[str, dict[str, list[float]]]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def main() -> None:
    golden = read()
    for name in RUNS:
        golden.setdefault(name, {})[place()] = losses(name)
    FILE.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
