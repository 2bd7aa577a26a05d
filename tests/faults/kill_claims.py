"""Kills `experiments.run --all` at random moments, starts it again until it is done, and compares.

    python -m tests.faults.kill_claims --kills=10 [--seed=0] [--data_dir=PATH] [--claims=A,B,...]

In a copy of this checkout that has the named claims alone, and no results. In the end the index,
the pages and the results must be those of an uninterrupted run, times aside.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIMS = "batchnorm_weight_scale,weights_grow,dropout_gap,mlp_beats_perceptron,wide_memorises"
OF_TIME = ("minutes", "seconds")


def copy_of_checkout(folder: Path, claims: list[str]) -> Path:
    """This program, of whose claims there are the named ones, and of whose results none."""
    leave = shutil.ignore_patterns("__pycache__", "runs", "results", ".*")
    for name in ("benchmarks", "cnn_jax", "configs", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for path in (folder / "experiments/claims").glob("*.py"):
        if path.stem not in ("__init__", *claims):
            path.unlink()
    (folder / "experiments/results").mkdir()
    return folder


def start(folder: Path, data_dir: str) -> subprocess.Popen:
    """The command, in a process group of its own, so that its workers die with it."""
    command = [sys.executable, "-m", "experiments.run", "--all", f"--data_dir={data_dir}"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    if process.returncode != 0:
        raise AssertionError(f"exit status {process.returncode}: {errors}")


def timeless(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: timeless(value) for key, value in tree.items() if key not in OF_TIME}
    return tree


def left_behind(folder: Path) -> dict[str, object]:
    """File -> what is in it, times aside."""
    results = folder / "experiments/results"
    found: dict[str, object] = {
        path.name: timeless(json.loads(path.read_text())) for path in results.glob("*.json")
    }
    found["files"] = sorted(path.name for path in results.iterdir())
    rows = (folder / "experiments/README.md").read_text().splitlines()
    # The last cell of a row is its minutes.
    found["index"] = [row.split(" | ")[:-1] if row.startswith("|") else row for row in rows]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data_dir", default=str(ROOT / "shared/data"))
    parser.add_argument("--claims", default=CLAIMS)
    options = parser.parse_args()
    chance, claims = random.Random(options.seed), options.claims.split(",")
    known = {path.stem for path in (ROOT / "experiments/claims").glob("*.py")}
    if unknown := sorted(set(claims) - known):
        parser.error(f"--claims={','.join(unknown)}: not a file of experiments/claims")
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = (copy_of_checkout(Path(folder) / n, claims) for n in ("whole", "killed"))
        begun = time.monotonic()
        finish(start(whole, options.data_dir))
        seconds = time.monotonic() - begun
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        # Moments spread over the whole of the work, which goes on from one start to the next.
        shares = sorted(chance.random() for _ in range(options.kills))
        for number, share in enumerate(shares):
            before = shares[number - 1] if number else 0.0
            process = start(killed, options.data_dir)
            time.sleep(3 + (share - before) * seconds)
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            records = len(list(killed.glob("runs/claims/*/*/record.json")))
            print(f"kill {number + 1}: status {status}, {records} records", flush=True)
        finish(start(killed, options.data_dir))
        left, other = left_behind(whole), left_behind(killed)
    different = sorted(key for key in left | other if left.get(key) != other.get(key))
    for key in different:
        print(f"DIFFERENT: {key}\n{left.get(key)}\n{other.get(key)}")
    if not different:
        print("the same index, pages and results")
    raise SystemExit(1 if different else 0)


if __name__ == "__main__":
    main()
