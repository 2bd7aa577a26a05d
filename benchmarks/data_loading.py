"""Claim: reading data costs little beside what must be done anyway. Decoding photographs of 224 px
reaches 85 % of the bare decoder's images per core, and training from memory 90 % of the bare step.

    python -m benchmarks.data_loading [--folder=DIR]

Files: JPEGs of 224 px made from the photographs of --folder, or from smooth noise. Decoder and
pipeline take turns over the same images on one thread, counted in CPU seconds. Step: LeNet-5 on
digits, so short that nothing else hides behind it; the training feed and one batch that is given
again and again take turns. Ends with status 1 where the claim fails.
"""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.harness.machine import in_words, machine
from cnn_jax import cli

DECODING, MEMORY = 0.85, 0.90
SIDE, FILES, ROUNDS, STEPS = 224, 256, 21, 60


def main(argv: Sequence[str]) -> int:
    del argv
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), FOLDER.value)
        decoding = measure_decoding(folder)
    memory = measure_memory()
    holds = decoding["share"] >= DECODING and memory["share"] >= MEMORY
    verdict = "holds" if holds else "fails"
    results = {
        "machine": machine(),
        "decoding": decoding | {"limit": DECODING},
        "memory": memory | {"limit": MEMORY},
        "verdict": verdict,
    }
    print(in_words(results["machine"]))
    print(
        f"JPEG of {SIDE} px, images per CPU second: decoder alone {decoding['alone']:,.0f}, read, "
        f"decoded, batched {decoding['pipeline']:,.0f}: {decoding['share']:.1%} (>= {DECODING:.0%})"
    )
    print(
        f"LeNet-5, batch 128, images per second: step alone {memory['alone']:,.0f}, from memory "
        f"{memory['pipeline']:,.0f}: {memory['share']:.1%} (>= {MEMORY:.0%})"
    )
    print(f"the claim {verdict}")
    out = Path(OUT.value)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if holds else 1


def write_photographs(folder: Path, source: str) -> None:
    """Fills two class folders with JPEGs of `SIDE` pixels."""
    from PIL import Image, ImageOps

    numbers = np.random.RandomState(0)
    paths = sorted(Path(source).expanduser().rglob("*.jp*g")) if source else []
    for i in range(FILES):
        if paths:
            image = Image.open(paths[i % len(paths)]).convert("RGB")
            image = ImageOps.fit(image, (SIDE, SIDE))
        else:
            coarse = numbers.randint(0, 256, (28, 28, 3), np.uint8)
            image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        path = folder / f"class{i % 2}" / f"{i:04}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=90)


def measure_decoding(folder: str) -> dict[str, float]:
    """Images per CPU second of the decoder and of the training stream's batches."""
    import simplejpeg

    from cnn_jax import data
    from cnn_jax.data.loading.sampler import TrainSampler, batch_rows
    from cnn_jax.data.loading.stream import BatchReader
    from configs.base import base

    config = base("data_speed", f"folder:{folder}", SIDE).data
    config.resize, config.streaming, config.validation, config.test = SIDE, True, 0.1, 0.1
    split = data.load(config).train
    batches = BatchReader(split, TrainSampler(len(split), 64, 0, seed=0))
    contents = [split.images.content(row) for row in range(len(split))]
    turns = itertools.count()

    def alone() -> list[np.ndarray]:
        rows = batch_rows(0, next(turns) // 2, 64, len(split))
        return [simplejpeg.decode_jpeg(contents[row], "RGB") for row in rows]

    return share_of(alone, lambda: batches(next(turns) // 2), 64, time.process_time)


def measure_memory() -> dict[str, float]:
    """Images per second of the bare step and of the step with its feed."""
    import jax

    from benchmarks.harness.repeated_batch import RepeatedBatch
    from cnn_jax.data.loading.device_dataset import HostBatch
    from cnn_jax.training.experiment import make_experiment
    from configs import lenet5

    config = lenet5.get_config("digits")
    config.batch_size, config.devices, config.epochs = 128, 1, 1000.0
    experiment = make_experiment(config)
    loader = experiment.train_loader()
    batch = loader.batch_at(0).batch(np.int32(0), 128, lambda rows: rows)
    given = RepeatedBatch(HostBatch(jax.device_put(batch)))

    def steps(loader: Any) -> Callable[[], None]:
        loop = experiment.step_loop(loader=loader)

        def go() -> None:
            loop.last_step = loop.step + STEPS
            for _ in loop:
                pass
            loop.wait()

        return go

    return share_of(steps(given), steps(loader), STEPS * 128, time.perf_counter)


def share_of(
    alone: Callable[[], Any], pipeline: Callable[[], Any], images: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Both in turns: medians of their speeds, and of the pairs' ratios."""
    seconds: list[tuple[float, float]] = []
    for _ in range(ROUNDS + 1):
        pair = []
        for run in (alone, pipeline):
            begun = clock()
            run()
            pair.append(clock() - begun)
        seconds.append((pair[0], pair[1]))
    seconds = seconds[1:]  # the first compiles, and fills caches
    return {
        "alone": round(images / statistics.median(a for a, _ in seconds)),
        "pipeline": round(images / statistics.median(b for _, b in seconds)),
        "share": round(statistics.median(a / b for a, b in seconds), 4),
    }


if __name__ == "__main__":  # flags only here, so that benchmarks can be imported
    FOLDER = flags.DEFINE_string("folder", "", "Photographs to make the files from.")
    OUT = flags.DEFINE_string("out", "benchmarks/results/data_loading.json", "Where figures go.")
    cli.run(main)
