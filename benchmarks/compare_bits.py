"""Twenty short runs, and whether another commit ends them with the same bits.

    python -m benchmarks.compare_bits --write=before.json        # in a checkout of one commit
    python -m benchmarks.compare_bits --against=before.json      # in that of another

Each run is a command line, so that what it calls may have other names in the other commit.
Compared are the rows of metrics.jsonl, the report, and every array of the last checkpoint.
The same machine and versions are needed: other processors and jaxlibs round otherwise.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

WRITE = flags.DEFINE_string("write", None, "File for the hashes.")
AGAINST = flags.DEFINE_string("against", None, "File of hashes to compare with.")
ONLY = flags.DEFINE_list("only", [], "Names of runs; default: all.")

# name -> words of the command line; PHOTOS, and RUN/<name of an earlier run>, are put in.
LENET = "--config=configs/lenet5.py --config.epochs=1"
BN_LENET = "--config=configs/bn_lenet.py --config.epochs=1"
RESNET20 = "--config=configs/resnet20_cifar.py:digits --config.epochs=0.5"
PHOTOS = "--config=configs/resnet18.py:folder:PHOTOS --config.epochs=1 --config.batch_size=8"
RUNS = {
    "lenet5": LENET,
    "lenet5_1998": "--config=configs/lenet5_1998.py --config.epochs=1",
    "regression": "--config=configs/lenet5.py:digits_angle --config.epochs=1",
    "mlp_plateau": "--config=configs/mlp.py --config.epochs=3 --config.schedule.name=plateau "
    "--config.schedule.gamma=0.5 --config.schedule.patience=1",
    "accumulated_average": f"{BN_LENET} --config.accumulate=2 --config.average_decay=0.9 "
    "--config.optimizer.name=nesterov --config.clip_norm=1.0",
    "loop": f"{LENET} --config.steps_per_dispatch=4",
    "jit_devices": f"{BN_LENET} --config.batch_size=32 --config.parallel=jit",
    "pmap_devices": f"{BN_LENET} --config.batch_size=32 --config.parallel=pmap",
    "resnet20_mixup": f"{RESNET20} --config.augment=('pad_and_crop(4)','rotate(15)','mixup(0.2)')",
    "resnet20_cutmix": f"{RESNET20} --config.augment=('rand_augment(2,9)','cutmix(1.0)')",
    "resnet20_reference": f"{RESNET20}",
    "resnet20_scan": f"{RESNET20} --config.model.scan=True",
    "rmsprop_layer_decay": f"{RESNET20} --config.optimizer.name=rmsprop "
    "--config.optimizer.momentum=0.9 --config.optimizer.layer_decay=0.7 "
    "--config.optimizer.weight_decay=1e-4",
    "alexnet": "--config=configs/alexnet.py --config.epochs=0.3",
    "googlenet": "--config=configs/googlenet.py --config.epochs=0.3 "
    "--config.schedule.warmup_epochs=0.1",
    "mobilenet_v2": "--config=configs/mobilenet_v2.py --config.epochs=0.3 "
    "--config.schedule.warmup_epochs=0.0",
    "convnext": "--config=configs/convnext.py --config.epochs=0.1 "
    "--config.schedule.warmup_epochs=0.0",
    "photos": f"{PHOTOS} --config.data.image_size=32",
    "photos_streamed": f"{PHOTOS} --config.data.image_size=32 --config.data.streaming=True "
    "--config.data.train_crop=random_resized_crop(0.2,1) --config.protocol=ten_crop",
    "finetuned": f"{PHOTOS} --config.data.image_size=32 --config.epochs=2 "
    "--config.init.from=RUN/photos --config.freeze=('conv1','layer[12]') "
    "--config.unfreeze=(('layer2',1.0),) --config.optimizer.groups=(('fc',10.0),)",
}
ENVIRONMENT = {
    "jit_devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
    "pmap_devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
    "resnet20_reference": {"CNN_JAX_NATIVE": "0"},
}


def main(argv: list[str]) -> int:
    del argv
    unknown = set(ONLY.value) - set(RUNS)
    if unknown:
        print(f"--only={unknown.pop()!r} is no run; choices: {', '.join(RUNS)}", file=sys.stderr)
        return 2
    expected = json.loads(Path(AGAINST.value).read_text()) if AGAINST.value else {}
    result, differing = {}, []
    with tempfile.TemporaryDirectory(prefix="cnn_jax_bits_") as scratch:
        draw_photos(Path(scratch) / "images")
        for name in ONLY.value or RUNS:
            started = time.monotonic()
            result[name] = run(name, Path(scratch))
            verdict = ""
            if expected:
                parts = [
                    part for part in result[name] if result[name][part] != expected[name][part]
                ]
                differing += [name] * bool(parts)
                verdict = f"{', '.join(parts)} differ" if parts else "the same"
            print(f"{name:20} {time.monotonic() - started:5.0f} s  {verdict}", flush=True)
    if WRITE.value:
        Path(WRITE.value).write_text(json.dumps(result, indent=1) + "\n")
    if expected:
        print(f"{len(result) - len(differing)} of {len(result)} runs end with the same bits")
    return 1 if differing else 0


def run(name: str, scratch: Path) -> dict[str, str]:
    """The hashes of what one run leaves."""
    words = RUNS[name].replace("PHOTOS", str(scratch / "images")).replace("RUN", str(scratch))
    workdir = scratch / name
    command = [sys.executable, "-m", "cnn_jax.main", *words.split(), f"--workdir={workdir}"]
    environment = os.environ | ENVIRONMENT.get(name, {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {' '.join(command)}\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    report = json.loads((workdir / "report.json").read_text())
    report = {key: value for key, value in report.items() if key != "dataset"}  # a path
    return {
        "rows": sha256((workdir / "metrics.jsonl").read_bytes()),
        "report": sha256(json.dumps(report, sort_keys=True).encode()),
        "arrays": arrays_hash(workdir),
    }


def arrays_hash(workdir: Path) -> str:
    """One hash of all arrays in the last checkpoint: of their types, shapes and bits."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    logging.disable(logging.WARNING)
    last = max(p for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        tree = reader.metadata(last / "state").item_metadata.tree
        how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        arrays = reader.restore(last / "state", args=ocp.args.PyTreeRestore(restore_args=how))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(arrays)]
    each = [sha256(f"{x.dtype} {x.shape} ".encode() + x.tobytes()) for x in leaves]
    return sha256(" ".join(sorted(each)).encode())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def draw_photos(folder: Path, classes: int = 3, each: int = 24) -> None:
    """A folder of JPEGs in several sizes: pieces of the photographs that scikit-learn ships."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    random = np.random.RandomState(0)
    for label in range(classes):
        (folder / f"class_{label}").mkdir(parents=True)
        for i in range(each):
            image = photographs[random.randint(len(photographs))]
            height, width = random.randint(40, 120, 2)
            top, left = random.randint(image.shape[0] - height), random.randint(300) + 20 * label
            piece = image[top : top + height, left : left + width]
            Image.fromarray(piece).save(folder / f"class_{label}" / f"{i}.jpg", quality=92)


if __name__ == "__main__":
    app.run(main)
