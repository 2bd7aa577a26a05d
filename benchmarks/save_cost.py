"""What a save costs the training beside it, and how long its hashes take.

    python -m benchmarks.save_cost [--config=resnet50:digits --batch_size=16] [--pairs=8]

Windows of the same number of steps are timed in turns, the second of each pair with a save started
before its first step; what is lost is the difference, and its share of a minute what saves slow a
training down that makes one a minute. A window is long enough for a save to end within it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.harness.machine import in_words, machine
from cnn_jax.cli import load_open_config
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import write_checksums
from cnn_jax.runtime.malloc import retain_freed_memory
from cnn_jax.runtime.progress import track
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.step_loop import StepLoop


def loop_of(name: str, batch_size: int) -> StepLoop:
    config = load_open_config(name).copy_and_resolve_references()
    config.unlock()
    config.update({"batch_size": batch_size, "epochs": 1000.0})
    return make_experiment(config).step_loop()


class Saves:
    """A training and its checkpoints."""

    def __init__(self, loop: StepLoop, folder: Path):
        self.loop, self.checkpoints, self.number = loop, Checkpoints(folder), 0

    def save(self) -> float:
        """Starts one; the seconds until the training may go on."""
        self.number += 1
        begun = time.perf_counter()
        self.checkpoints.save(self.number, self.loop.carry.as_saved(), {}, best=0)
        return time.perf_counter() - begun

    def window(self, steps: int, with_save: bool) -> float:
        """Seconds of so many steps, and of a save beside them."""
        begun = time.perf_counter()
        if with_save:
            self.save()
        for _ in range(steps):
            next(self.loop)
        self.loop.wait()
        seconds = time.perf_counter() - begun
        self.checkpoints.wait()
        return seconds

    def steps_of_a_window(self) -> int:
        """Twice as many steps as are made in the time of a save without a training beside it."""
        self.window(2, with_save=True)
        begun = time.perf_counter()
        self.save()
        self.checkpoints.wait()
        alone = time.perf_counter() - begun
        return max(4, round(2 * alone / (self.window(4, with_save=False) / 4)))

    def hashing(self) -> tuple[int, float]:
        """Bytes of the newest save, and the seconds that its hashes take again."""
        place = self.checkpoints.path(self.checkpoints.steps()[-1])
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        begun = time.perf_counter()
        write_checksums(place)
        return size, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="resnet50:digits")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=8)
    options = parser.parse_args()
    retain_freed_memory()  # as the command does
    loop = loop_of(options.config, options.batch_size)
    with tempfile.TemporaryDirectory() as scratch:
        saves = Saves(loop, Path(scratch))
        steps = saves.steps_of_a_window()
        lost = []
        for _ in track(range(options.pairs), "pairs"):
            without = saves.window(steps, with_save=False)
            lost.append(saves.window(steps, with_save=True) - without)
        size, seconds = saves.hashing()
    low, middle, high = statistics.quantiles(lost, n=4)
    print(in_words(machine()))
    print(
        f"{options.config}, batch {options.batch_size}: a save of {size / 1e6:.0f} MB takes "
        f"{middle:.2f} s of the training (quartiles {low:.2f} to {high:.2f}, {options.pairs} pairs "
        f"of {steps} steps, {without / steps:.3f} s each): {middle / 60:.1%} at one a minute; its "
        f"hashes {seconds:.2f} s"
    )


if __name__ == "__main__":
    main()
