"""A loaded net as a folder of weights that is complete: what `cnn_jax.load` needs, and no run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax import models
from cnn_jax.inference.loaded_net import LoadedNet
from cnn_jax.inference.preparation import ImagePreparation
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.runtime.report_file import FILE as REPORT
from cnn_jax.runtime.report_file import read_report, unreadable
from cnn_jax.transfer.weights import DESCRIPTION, save_weights

FIGURES = ("accuracy", "top5_accuracy", "mean_absolute_error", "loss")
CONDITIONS = ("data", "split", "examples", "protocol")  # that a figure was measured under


def write_weights_folder(net: LoadedNet, origin: Path, out: Path, licence: str = "") -> None:
    """Tensors, description and constants of `net`, which was loaded from `origin`."""
    out.mkdir(parents=True, exist_ok=True)
    variables = jax.device_get(net.variables)
    net.preparation.statistics.write(out)
    record = description_of(net) | provenance(net, origin, licence)
    save_weights(out, variables["params"], variables.get("batch_stats", {}), record)


def description_of(net: LoadedNet) -> dict[str, Any]:
    """What `weights.json` says of the net itself."""
    own = models.REGISTRY[net.name].options()
    task = {k: v for k, v in dataclasses.asdict(net.task).items() if k != "classes"}
    return {
        "model": net.name,
        "num_classes": net.model.num_classes,  # pyright: ignore[reportAttributeAccessIssue]
        "options": {key: getattr(net.model, key) for key in own},
        "task": task,
        "classes": list(net.classes),
        "preprocessing": preprocessing_of(net.preparation),
    }


def preprocessing_of(own: ImagePreparation) -> dict[str, Any]:
    """How an image comes to the net; mean and std of channels in [0, 1], where they are such."""
    shift, scale = (np.float64(v) for v in (own.statistics.shift, own.statistics.scale))
    channels = own.resize.channels
    is_by_channel = shift.ndim < 2 and scale.ndim < 2
    return {
        "image_size": own.resize.size,
        "fit": own.resize.method,
        "resize": own.resize.resize,
        "interpolation": own.resize.interpolation,
        "channels": "BGR" if own.is_bgr else {1: "grey", 3: "RGB"}[channels],
        "mean": np.broadcast_to(shift / 255, channels).tolist() if is_by_channel else None,
        "std": np.broadcast_to(1 / (255 * scale), channels).tolist() if is_by_channel else None,
        "statistics": own.statistics.digest(),
        "protocol": str(own),
    }


def provenance(net: LoadedNet, origin: Path, licence: str) -> dict[str, Any]:
    """Where the weights are from, what was measured of them, and their licence."""
    if (origin / DESCRIPTION).is_file():
        there = read_json_object(origin / DESCRIPTION)
        kept = {key: there.get(key) for key in ("source", "figures", "licence")}
        return kept | ({"licence": licence} if licence else {})
    try:
        report = read_report(origin) if (origin / REPORT).is_file() else {}
    except (OSError, ValueError) as error:
        raise unreadable(origin, error) from error
    figures = {k: report[k] for k in (*FIGURES, *CONDITIONS) if k in report}
    source = {"names": f"a run on {net.config.data.name}", "epochs": net.config.epochs}
    return {"source": source, "figures": figures or None, "licence": licence or None}
