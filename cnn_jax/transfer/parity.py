"""Whether an imported net computes what its source does, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.models.layers import Output
from cnn_jax.runtime.array_files import read_npy
from cnn_jax.transfer.features import at_points, capture
from cnn_jax.transfer.importer import ImportedNet
from cnn_jax.transfer.weight_maps.name_map import NameMap, stage_counterpart

TOLERANCE = 5e-3


@dataclasses.dataclass(frozen=True)
class Reference:
    """A folder of results to agree with: arrays by name (`logits`, `aux1`, or a stage's)."""

    images: np.ndarray
    expected: dict[str, np.ndarray]
    exact_logits: np.ndarray | None  # the same in float64

    @staticmethod
    def read(folder: str | Path) -> Reference:
        """`input.npy` [B, H, W, C] and `logits.npy`; if there `feat_STAGE.npy`, `aux1.npy`, ..."""
        folder = Path(folder)
        images = read_array(folder / "input.npy")
        if images.ndim != 4:
            raise UserError(f"{folder}/input.npy is {list(images.shape)}, not [B, H, W, C]")
        expected = {
            path.stem.removeprefix("feat_"): read_array(path)
            for pattern in ("feat_*.npy", "aux[0-9].npy")
            for path in sorted(folder.glob(pattern))
        }
        expected["logits"] = read_array(folder / "logits.npy")
        exact = folder / "logits_f64.npy"
        return Reference(images, expected, read_array(exact) if exact.is_file() else None)


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest difference from a reference at one point of the net, named as there.

    `exact` and `rounding` are filled where float32 alone does not decide: how far our result in
    float64 is from the reference, and from our own in float32.
    """

    name: str
    point: str  # of ours
    largest: float
    deviation: float  # the reference's standard deviation
    exact: float | None = None
    rounding: float | None = None
    confirmed: bool = False  # our float64 logits are the reference's

    @property
    def agrees(self) -> bool:
        """Whether the difference is at most 5e-3, or nothing but float32's rounding.

        A deep net can magnify the rounding of both sides beyond the tolerance. The difference is
        put down to it where our float64 result is within the tolerance, or where the float64 logits
        agree and the reference is no further from the truth than twenty times our own float32.
        Features of a scale above 1 count by that scale.
        """
        allowed = TOLERANCE * (1.0 if self.is_output else max(1.0, self.deviation))
        if self.largest <= allowed:
            return True
        if self.exact is None or self.rounding is None:
            return False
        return self.exact <= allowed or (self.confirmed and self.exact <= 20 * self.rounding)

    @property
    def is_output(self) -> bool:
        return self.name.startswith(("logits", "aux"))


def compare(
    imported: ImportedNet, reference: Reference, transform_input: bool = False
) -> tuple[list[Difference], list[str]]:
    """The differences from a reference, and its stages that we have no counterpart for.

    Runs in evaluation mode with float32 products, and again in float64 where that is not enough.
    """
    expected = {name: squeeze(array) for name, array in reference.expected.items()}
    single = compute_stages(imported, reference, np.float32, transform_input)
    differences = [
        measure(name, point, value, expected[name]) for name, (point, value) in single.items()
    ]
    if not all(difference.agrees for difference in differences):
        with jax.enable_x64(True), jax.default_device(cpu_device()):
            double = compute_stages(imported, reference, np.float64, transform_input)
        exact = reference.exact_logits
        confirmed = False
        if exact is not None and "logits" in double:
            confirmed = max_difference(double["logits"][1], exact) <= TOLERANCE
        differences = [
            dataclasses.replace(
                difference,
                exact=max_difference(double[difference.name][1], expected[difference.name]),
                rounding=max_difference(double[difference.name][1], single[difference.name][1]),
                confirmed=confirmed,
            )
            for difference in differences
        ]
    return differences, [name for name in reference.expected if name not in single]


def compute_stages(
    imported: ImportedNet, reference: Reference, dtype: Any, transform_input: bool
) -> dict[str, tuple[str, np.ndarray]]:
    """A stage's name in the reference -> (our point, our value), computed in `dtype`."""
    stages = {name: stage_counterpart(imported.names, name) for name in reference.expected}
    images = reference.images.astype(dtype)
    images = renormalise(imported.names, images) if transform_input else images
    output, captured = forward(imported, images, [stage[0] for stage in stages.values() if stage])
    results: dict[str, tuple[str, Any]] = {}
    for name, stage in stages.items():
        if stage and stage[0] in captured:
            point, transform = stage
            results[name] = (point, transform(captured[point]))
    if not imported.headless:
        results |= {f"aux{i}": ("auxiliary", x) for i, x in enumerate(output.auxiliary, 1)}
        results["logits"] = ("logits", output.logits)
    return {
        name: (point, squeeze(np.asarray(value)))
        for name, (point, value) in results.items()
        if name in reference.expected
    }


def forward(
    imported: ImportedNet, images: np.ndarray, points: Iterable[str]
) -> tuple[Output, dict[str, jax.Array]]:
    """The net's output with its heads' logits, and the intermediate results at `points`.

    Computes in the images' type.
    """
    net = imported.net.clone(dtype=images.dtype)
    variables = jax.tree.map(lambda x: x.astype(images.dtype), imported.variables())
    selects = at_points(points)

    @jax.jit
    def apply(variables: Any, x: jax.Array) -> Any:
        return capture(net, variables, x, selects, mutable=("auxiliary",))

    with jax.default_matmul_precision("highest"):
        return apply(variables, images)


def renormalise(names: NameMap, x: np.ndarray) -> np.ndarray:
    """ImageNet-normalised images as nets with `transform_input` take them: mean and std 0.5."""
    mean, std = np.array([names.preprocessing.mean, names.preprocessing.std], x.dtype)
    return (x * std + mean - 0.5) / 0.5


def cpu_device() -> Any:
    """The CPU, for float64, which some accelerators lack; None where JAX was told to have none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def read_array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"reference={str(path.parent)!r} has no {path.name}")
    try:
        return read_npy(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is no whole .npy file") from error


def max_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


def measure(name: str, point: str, value: np.ndarray, expected: np.ndarray) -> Difference:
    """The difference of our `value` at `point` from the reference's."""
    if value.shape != expected.shape:
        raise UserError(
            f"reference: {name} is {list(expected.shape)} there and {list(value.shape)} here"
        )
    return Difference(name, point, max_difference(value, expected), float(expected.std()))


def squeeze(x: np.ndarray) -> np.ndarray:
    """[B, 1, 1, C] -> [B, C]; other arrays as they are."""
    return np.squeeze(x, (1, 2)) if x.ndim == 4 and x.shape[1:3] == (1, 1) else x
