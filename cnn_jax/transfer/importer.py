"""From a published weight file to variables of ours, and the check that they compute the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from cnn_jax import models
from cnn_jax.errors import UserError, unknown
from cnn_jax.transfer.features import capture
from cnn_jax.transfer.maps import MAPS
from cnn_jax.transfer.names import NameMap, source_tensor_name, stage_counterpart
from cnn_jax.transfer.weights import read_tensors

TOLERANCE = 5e-3
Flat = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Imported:
    """A net with the weights of a file, by flat names.

    `head` names the classifiers' tensors, whose shapes follow the number of classes; they are zeros
    where the file has no classifier (`headless`).
    """

    model: str
    net: nn.Module
    options: dict[str, Any]
    names: NameMap
    params: Flat
    batch_stats: Flat
    head: tuple[str, ...]
    headless: bool = False

    def variables(self) -> dict[str, Any]:
        """The trees that `net.apply` takes."""
        trees = {"params": self.params, "batch_stats": self.batch_stats}
        return {
            name: traverse_util.unflatten_dict(flat, sep="/")
            for name, flat in trees.items()
            if flat
        }

    def without_head(self) -> Imported:
        """The same without its classifiers."""
        params = {name: value for name, value in self.params.items() if name not in self.head}
        return dataclasses.replace(self, params=params)


def name_map(model: str) -> NameMap:
    """The map of a registered net, or an error that lists the nets that have one."""
    if model not in models.REGISTRY:
        raise unknown("model", model, sorted(models.REGISTRY))
    if model not in MAPS:
        twins = [twin for end in ("_v1_5", "_torchvision") if (twin := model + end) in MAPS]
        hint = f" (torchvision's is {twins[0]})" if twins else ""
        raise UserError(
            f"model={model!r}: no published weights are known{hint}; choices: {', '.join(MAPS)}"
        )
    return MAPS[model]()


def shapes(net: nn.Module, model: str) -> tuple[dict, dict]:
    """The shapes of a net's (params, batch_stats), by flat names, at its paper's input size."""
    image = jax.ShapeDtypeStruct((1, *models.REGISTRY[model].input_shape), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), image)
    flat = [
        traverse_util.flatten_dict(variables.get(name, {}), sep="/")
        for name in ("params", "batch_stats")
    ]
    return tuple({name: leaf.shape for name, leaf in tree.items()} for tree in flat)


def head_tensors(model: str, options: dict[str, Any]) -> tuple[str, ...]:
    """The parameters whose shape follows the number of classes: the classifiers' tensors."""
    two, three = (shapes(models.create(model, classes, **options), model)[0] for classes in (2, 3))
    return tuple(name for name in two if two[name] != three[name])


def import_weights(
    model: str, path: str | Path, num_classes: int | None = None, drop_head: bool = False
) -> Imported:
    """The net `model` with the weights of the file `path`, each of whose tensors is used once.

    The number of classes is that of the file's classifier. An error names the first tensors that do
    not fit. A file without its classifier is taken only with `drop_head`.
    """
    names = name_map(model)
    tensors = clean(read_tensors(path))
    options = dict(names.options)
    if "auxiliary" in models.REGISTRY[model].options():
        options["auxiliary"] = has_auxiliary(names, tensors)
    head = head_tensors(model, options)
    classifier = next(
        name for name in head if name.endswith("/kernel") and not name.startswith("auxiliary")
    )
    weight = tensors.get(source_tensor_name(names, classifier))
    headless = weight is None and drop_head
    classes = models.REGISTRY[model].num_classes if weight is None else len(weight)
    if num_classes is not None and not drop_head:
        classes = num_classes
    net = models.create(model, classes, **options)

    wrong, used = [], set()

    def take(ours: str, shape: tuple[int, ...]) -> np.ndarray:
        theirs = source_tensor_name(names, ours)
        if headless and ours in head:
            used.update({theirs} & set(tensors))
            return np.zeros(shape, np.float32)
        if theirs not in tensors:
            wrong.append(f"{theirs} is missing")
            return np.zeros(shape, np.float32)
        used.add(theirs)
        value = ours_from(tensors[theirs], shape, names.flat.get(ours.rsplit("/", 1)[0]))
        if value is None:
            has, needs = list(tensors[theirs].shape), list(torch_shape(shape))
            wrong.append(f"{theirs} is {has} in the file, {needs} in the net")
            return np.zeros(shape, np.float32)
        if not np.isfinite(value).all():
            wrong.append(f"{theirs} has values that are not finite")
        return value

    params, batch_stats = (
        {ours: take(ours, shape) for ours, shape in tree.items()} for tree in shapes(net, model)
    )
    wrong += [f"{name} has no place in the net" for name in tensors if name not in used]
    if wrong:
        raise misfit(model, path, tensors, wrong)
    return Imported(model, net, options, names, params, batch_stats, head, headless)


def clean(tensors: Flat) -> Flat:
    """Without `num_batches_tracked`, which old files lack, and without DataParallel's prefix."""
    tensors = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def has_auxiliary(names: NameMap, tensors: Flat) -> bool:
    """Whether the file has tensors of the net's auxiliary heads."""
    heads = {theirs for ours, theirs in names.modules.items() if ours.startswith("auxiliary")}
    return any(name.rsplit(".", 1)[0] in heads for name in tensors)


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """HWIO -> OIHW, (inputs, outputs) -> (outputs, inputs)."""
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape[::-1]


def ours_from(
    theirs: np.ndarray, shape: tuple[int, ...], flat: tuple[int, int, int] | None = None
) -> np.ndarray | None:
    """Their tensor in our layout, or None where it has another shape.

    Convolutions OIHW -> HWIO, dense layers (outputs, inputs) -> (inputs, outputs), where 1x1
    convolutions and dense layers stand for each other. A dense layer on a flattened map (C, H, W)
    has its inputs reordered to H, W, C.
    """
    outputs = shape[-1]
    if len(shape) == 1:  # old files have vectors of shape (1, C)
        fits = theirs.size == max(theirs.shape, default=0) == outputs
        return theirs.astype(np.float32).reshape(shape) if fits else None
    if theirs.ndim == 2 and flat is not None and theirs.shape == (outputs, np.prod(flat)):
        theirs = theirs.reshape(outputs, *flat).transpose(0, 2, 3, 1).reshape(outputs, -1)
    if theirs.ndim == 4 and len(shape) == 2 and theirs.shape[2:] == (1, 1):
        theirs = theirs[:, :, 0, 0]
    if theirs.ndim == 2 and len(shape) == 4 and shape[:2] == (1, 1):
        theirs = theirs[:, :, None, None]
    if theirs.shape != torch_shape(shape):
        return None
    axes = (2, 3, 1, 0) if theirs.ndim == 4 else (1, 0)
    return np.ascontiguousarray(theirs.transpose(axes), np.float32)


def misfit(model: str, path: str | Path, tensors: Flat, wrong: list[str]) -> UserError:
    """The error for a file that is not this net's, with the nets whose modules it does have."""
    if fits(model, tensors):
        hint = " (--head=drop leaves its classifiers out)"
    else:
        twins = [name for name in MAPS if fits(name, tensors)]
        hint = f" (it fits {' and '.join(twins)})" if twins else ""
    shown = "; ".join(wrong[:3])
    more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return UserError(f"{path} does not fit {model}{hint}: {shown}{more}")


def fits(model: str, tensors: Flat) -> bool:
    """Whether the file is this net's, whatever its number of classes."""
    names = MAPS[model]()
    theirs = {name.rsplit(".", 1)[0] for name in tensors}
    main = {b for a, b in names.modules.items() if not a.startswith("auxiliary")}
    if theirs not in (main, set(names.modules.values())):
        return False
    options = dict(names.options)
    if "auxiliary" in models.REGISTRY[model].options():
        options["auxiliary"] = theirs != main
    head = head_tensors(model, options)
    for tree in shapes(models.create(model, 2, **options), model):
        for ours, shape in tree.items():
            value = tensors.get(source_tensor_name(names, ours))
            flat = names.flat.get(ours.rsplit("/", 1)[0])
            if ours not in head and (value is None or ours_from(value, shape, flat) is None):
                return False
    return True


def wants_transform(imported: Imported, digest: str, reference: str | Path | None) -> bool:
    """Whether the weights expect re-normalised inputs, from the file's hash or the reference."""
    prefix = imported.names.transforms_input
    if prefix and digest.startswith(prefix):
        return True
    if reference and (described := Path(reference) / "meta.json").is_file():
        try:
            return bool(json.loads(described.read_text())["transform_input"])
        except (ValueError, KeyError, TypeError):
            return False
    return False


def preprocessing(imported: Imported, transform_input: bool) -> dict[str, Any]:
    """What the weights expect of an image, for `weights.json`."""
    out = dataclasses.asdict(imported.names.preprocessing)
    return {**out, "mean": (0.5,) * 3, "std": (0.5,) * 3} if transform_input else out


def renormalised(names: NameMap, x: np.ndarray) -> np.ndarray:
    """ImageNet-normalised images as nets with `transform_input` take them: mean and std 0.5."""
    mean, std = np.array([names.preprocessing.mean, names.preprocessing.std], x.dtype)
    return (x * std + mean - 0.5) / 0.5


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
        images = load_array(folder / "input.npy")
        if images.ndim != 4:
            raise UserError(f"{folder}/input.npy is {list(images.shape)}, not [B, H, W, C]")
        expected = {
            path.stem.removeprefix("feat_"): load_array(path)
            for pattern in ("feat_*.npy", "aux[0-9].npy")
            for path in sorted(folder.glob(pattern))
        }
        expected["logits"] = load_array(folder / "logits.npy")
        exact = folder / "logits_f64.npy"
        return Reference(images, expected, load_array(exact) if exact.is_file() else None)


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest difference from a reference at one point of the net, named as there.

    `exact` and `rounding` are filled where float32 alone does not decide: how far our result in
    float64 is from the reference, and from our own in float32.
    """

    name: str
    ours: str
    largest: float
    spread: float  # the reference's standard deviation
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
        allowed = TOLERANCE * (1.0 if self.is_output else max(1.0, self.spread))
        if self.largest <= allowed:
            return True
        if self.exact is None or self.rounding is None:
            return False
        return self.exact <= allowed or (self.confirmed and self.exact <= 20 * self.rounding)

    @property
    def is_output(self) -> bool:
        return self.name.startswith(("logits", "aux"))


def compare(
    imported: Imported, reference: Reference, transform_input: bool = False
) -> tuple[list[Difference], list[str]]:
    """The differences from a reference, and its stages that we have no counterpart for.

    Runs in evaluation mode with float32 products, and again in float64 where that is not enough.
    """
    stages = {name: stage_counterpart(imported.names, name) for name in reference.expected}
    wanted = frozenset(stage[0] for stage in stages.values() if stage)

    def results(dtype: Any) -> dict[str, tuple[str, np.ndarray]]:
        """Name in the reference -> our name, our value."""
        images = reference.images.astype(dtype)
        images = renormalised(imported.names, images) if transform_input else images
        output, captured = forward(imported, images, wanted)
        found = {}
        for name, stage in stages.items():
            if stage and stage[0] in captured:
                found[name] = (stage[0], stage[1](captured[stage[0]]))
        if not imported.headless:
            found |= {f"aux{i}": ("auxiliary", x) for i, x in enumerate(output.auxiliary, 1)}
            found["logits"] = ("logits", output.logits)
        return {
            name: (ours, squeeze(np.asarray(value)))
            for name, (ours, value) in found.items()
            if name in reference.expected
        }

    single = results(np.float32)
    found = [
        measure(name, ours, value, squeeze(reference.expected[name]))
        for name, (ours, value) in single.items()
    ]
    if not all(one.agrees for one in found):
        with jax.enable_x64(True), jax.default_device(processor()):
            double = {name: value for name, (_, value) in results(np.float64).items()}
        exact = reference.exact_logits
        confirmed = exact is not None and "logits" in double
        confirmed = confirmed and largest(double["logits"], exact) <= TOLERANCE
        found = [
            dataclasses.replace(
                one,
                exact=largest(double[one.name], squeeze(reference.expected[one.name])),
                rounding=largest(double[one.name], single[one.name][1]),
                confirmed=confirmed,
            )
            for one in found
        ]
    return found, [name for name in reference.expected if name not in single]


def forward(
    imported: Imported, images: np.ndarray, wanted: frozenset[str]
) -> tuple[models.Output, dict[str, jax.Array]]:
    """The net's output with its heads' logits, and the `wanted` intermediate results by name.

    Computes in the images' type.
    """
    net = imported.net.clone(dtype=images.dtype)
    variables = jax.tree.map(lambda x: x.astype(images.dtype), imported.variables())

    def keep(module: nn.Module, method: str) -> bool:
        return method == "__call__" and "/".join(module.path) in wanted

    @jax.jit
    def apply(variables: Any, x: jax.Array) -> Any:
        return capture(net, variables, x, keep, also=("auxiliary",))

    with jax.default_matmul_precision("highest"):
        return apply(variables, images)


def processor() -> jax.Device | None:
    """The CPU, for float64, which some accelerators lack; None where JAX was told to have none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def load_array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"reference={str(path.parent)!r} has no {path.name}")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is no whole .npy file") from error


def largest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


def measure(name: str, ours: str, value: np.ndarray, expected: np.ndarray) -> Difference:
    if value.shape != expected.shape:
        raise UserError(
            f"reference: {name} is {list(expected.shape)} there and {list(value.shape)} here"
        )
    return Difference(name, ours, largest(value, expected), float(expected.std()))


def squeeze(x: np.ndarray) -> np.ndarray:
    """[B, 1, 1, C] -> [B, C]; other arrays as they are."""
    return np.squeeze(x, (1, 2)) if x.ndim == 4 and x.shape[1:3] == (1, 1) else x
