"""What a run was trained to tell, as its workdir's data.json has it from the start."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from cnn_jax.data.dataset import Dataset, Task
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.json_shape import check_shape
from cnn_jax.runtime.regular_files import read_json_object

# Of data.json; what else it holds is for others.
SHAPE = {
    "task": {"kind": str, "classes": [str], "unit?": str, "mean?": float, "std?": float},
    "image_shape": (int, int, int),
}


def task_record(dataset: Dataset) -> dict[str, Any]:
    """The task and the images' shape [H, W, C] as the net sees them, for data.json."""
    return {"task": dataclasses.asdict(dataset.task), "image_shape": dataset.train.image_shape}


def read_task(folder: Path) -> tuple[Task, tuple[int, int, int]]:
    """(task, [H, W, C]) of a run; raises `UserError` for one of an earlier version."""
    path = folder / workdir.DATA
    again = f"where the run's data lies, this writes it: cnn_jax evaluate --workdir={folder}"
    if not path.exists():
        raise UserError(f"{path} is missing, which names the classes; {again}")
    try:
        record = read_json_object(path, "task", "image_shape")
        check_shape(record, SHAPE)
        if min(record["image_shape"]) < 1:
            raise ValueError(f"'image_shape' is {record['image_shape']}")
        task, (height, width, channels) = record["task"], record["image_shape"]
        return Task(**task | {"classes": tuple(task["classes"])}), (height, width, channels)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not say the task ({error}): remove it; {again}") from error
