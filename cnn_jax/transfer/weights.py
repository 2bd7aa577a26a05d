"""A folder of weights in our own names: `weights.safetensors`, described by `weights.json`.

Tensors are named `params/conv1/kernel`, `batch_stats/conv1_norm/mean`, ... The description holds
the net's name, classes and options, where the weights come from, what they expect of an image, and
the SHA-256 of the tensors, which `load_weights` checks.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from cnn_jax.errors import UserError, not_written
from cnn_jax.runtime.json_shape import check_shape
from cnn_jax.runtime.regular_files import open_regular, read_json_object
from cnn_jax.runtime.result_files import write_result

TENSORS = "weights.safetensors"
DESCRIPTION = "weights.json"
# Of weights.json; what else it holds is for people.
SHAPE = {
    "model": str,
    "sha256": str,
    "num_classes?": int,
    "options?": dict,
    "task?": {"kind": str},
    "classes?": [str],
    "source?": dict,
    "preprocessing?": {
        "image_size?": int,
        "resize?": int,
        "interpolation?": str,
        "fit?": str,
        "channels?": str,
        "protocol?": str,
        "mean?": [float],
        "std?": [float],
        "statistics?": str,
    },
}
LARGEST_WEIGHTS = 8 << 30  # bytes: of the largest net, ten times over

Tree = dict[str, Any]


def sha256(path: str | os.PathLike) -> str:
    """The hexadecimal SHA-256 of a file."""
    with open(open_regular(path, LARGEST_WEIGHTS), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_weights(
    folder: str | os.PathLike, params: Tree, batch_stats: Tree, description: dict[str, Any]
) -> None:
    """Writes the tensors, then their description, each whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    trees = {"params": params, "batch_stats": batch_stats}
    flat = traverse_util.flatten_dict(trees, sep="/")
    tensors = {name: np.ascontiguousarray(value, np.float32) for name, value in flat.items()}
    partial = folder / f"{TENSORS}.partial"
    try:
        save_file(tensors, partial)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise not_written(TENSORS, folder / TENSORS, error) from error
    text = json.dumps({**description, "sha256": sha256(partial)}, indent=2) + "\n"
    (folder / DESCRIPTION).unlink(missing_ok=True)  # never a description of other tensors
    partial.replace(folder / TENSORS)
    write_result(DESCRIPTION, folder / DESCRIPTION, text)


def load_weights(folder: str | os.PathLike) -> tuple[Tree, Tree, dict[str, Any]]:
    """(params, batch_stats, description) of a folder that `save_weights` wrote.

    Raises `UserError` where a file is missing, damaged, or not the one that was described.
    """
    folder = Path(folder)
    description = read_description(folder)
    if sha256(folder / TENSORS) != description["sha256"]:
        raise UserError(
            f"{folder / TENSORS} is not the file that {DESCRIPTION} describes (its SHA-256 "
            "differs): import the weights again"
        )
    trees = as_trees(folder / TENSORS, read_tensors(folder / TENSORS))
    return trees.get("params", {}), trees.get("batch_stats", {}), description


def as_trees(path: Path, tensors: dict[str, np.ndarray]) -> Tree:
    """By collection; raises `UserError` for a name that is none of ours."""
    for name in tensors:
        parts = name.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        is_own = parts[0] in ("params", "batch_stats") and len(parts) > 2 and all(parts)
        if not is_own or any(other in tensors for other in above):
            raise UserError(
                f"{path} holds a tensor {name!r:.100}, which has no place in a net; "
                "import the weights again"
            )
    return traverse_util.unflatten_dict(tensors, sep="/")


def read_description(folder: Path) -> dict[str, Any]:
    """What `weights.json` says; raises `UserError` where a file is missing or damaged."""
    for name in (DESCRIPTION, TENSORS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} is no folder of weights: it has no {name}")
    try:
        description = read_json_object(folder / DESCRIPTION)
        check_shape(description, SHAPE)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / DESCRIPTION} is damaged ({error}): import the weights again"
        ) from error
    return description


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Every tensor of a weight file: .safetensors here, .pth, .pt and .bin through torch.

    A pickle can run any code, so it is only opened by a torch that can refuse to (`weights_only`).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"weights={str(path)!r}: no such file")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if path.suffix in (".pth", ".pt", ".bin"):
        return read_torch(path)
    raise UserError(
        f"weights={str(path)!r} has an unknown ending; choices: .safetensors, .pth, .pt, .bin"
    )


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"weights={str(path)!r} is no whole .safetensors file: {error}") from error


def read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"weights={str(path)!r} is a pickle, which only torch reads safely: "
            'pip install "cnn_jax[torch]", or convert it to .safetensors'
        ) from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise UserError(
            f"weights={str(path)!r} is a pickle, and torch {torch.__version__} is not safe with "
            "it: torch 2.10 or later is needed"
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for a file that torch cannot or will not read
        if type(error).__name__ != "UnpicklingError":
            raise UserError(f"weights={str(path)!r} is no whole file of torch's") from error
        raise UserError(
            f"weights={str(path)!r} holds more than tensors, and torch refuses to run its code: "
            "save the state_dict alone, or as .safetensors"
        ) from error
    while isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise UserError(f"weights={str(path)!r} holds no plain table of tensors (a state_dict)")
    return {name: value.float().numpy() for name, value in state.items()}
