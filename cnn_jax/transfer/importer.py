"""From a published weight file to variables of ours, every tensor used once."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from cnn_jax import models
from cnn_jax.errors import UserError, unknown
from cnn_jax.models.variables import flatten
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.transfer.layouts import from_torch, torch_shape
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_maps.name_map import NameMap, form_of, torch_tensor_name
from cnn_jax.transfer.weights import read_tensors

FlatTree = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class ImportedNet:
    """A net with the weights of a file, by flat names.

    `head` names the classifiers' tensors, whose shapes follow the number of classes; they are zeros
    where the file has no classifier (`headless`).
    """

    model: str
    net: nn.Module
    options: dict[str, Any]
    names: NameMap
    params: FlatTree
    batch_stats: FlatTree
    head: tuple[str, ...]
    headless: bool = False
    prefix: str = ""  # that all names of the file had, and that was taken off

    def variables(self) -> dict[str, Any]:
        """The trees that `net.apply` takes."""
        trees = {"params": self.params, "batch_stats": self.batch_stats}
        return {
            name: traverse_util.unflatten_dict(flat, sep="/")
            for name, flat in trees.items()
            if flat
        }

    def without_head(self) -> ImportedNet:
        """The same without its classifiers."""
        params = {name: value for name, value in self.params.items() if name not in self.head}
        return dataclasses.replace(self, params=params)


def import_weights(
    model: str, path: str | Path, num_classes: int | None = None, drop_head: bool = False
) -> ImportedNet:
    """The net `model` with the weights of the file `path`, each of whose tensors is used once.

    The number of classes is that of the file's classifier. An error names the first tensors that do
    not fit. A file without its classifier, or with one of several layers, is taken only with
    `drop_head`: the head is everything under the classifier's name.
    """
    names = find_name_map(model)
    tensors, prefix = strip_tensor_names(read_tensors(path), names)
    names = form_of(names, tensors)
    options = net_options(model, names, has_auxiliary(names, tensors))
    head = head_tensors(model, options)
    below = layers_of_heads(names, head, tensors) if drop_head else set()
    weight = None if below else tensors.get(classifier_name(names, head))
    headless = weight is None and drop_head
    classes = models.REGISTRY[model].num_classes if weight is None else len(weight)
    if num_classes is not None and not drop_head:
        classes = num_classes
    net = models.create(model, classes, **options)
    conversion = Conversion(names, tensors, head if headless else (), used=below)
    params, batch_stats = map(conversion.convert, tensor_shapes(net, model))
    unused = [name for name in tensors if name not in conversion.used]
    misfits = conversion.misfits + [f"{name} has no place in the net" for name in unused]
    if misfits:
        raise misfit_error(model, path, tensors, misfits)
    return ImportedNet(model, net, options, names, params, batch_stats, head, headless, prefix)


@dataclasses.dataclass
class Conversion:
    """The tensors of a file on their way to variables: which were used, and what did not fit."""

    names: NameMap
    tensors: FlatTree
    zeroed: Collection[str]  # variables that the file may lack
    used: set[str] = dataclasses.field(default_factory=set)
    misfits: list[str] = dataclasses.field(default_factory=list)

    def convert(self, shapes: Shapes) -> FlatTree:
        """The variables of these shapes; zeros where the file has none that fits."""
        return {variable: self.convert_one(variable, shape) for variable, shape in shapes.items()}

    def convert_one(self, variable: str, shape: tuple[int, ...]) -> np.ndarray:
        name = torch_tensor_name(self.names, variable) or ""
        zeros = np.zeros(shape, np.float32)
        if variable in self.zeroed:
            self.used.update({name} & set(self.tensors))
            return zeros
        if name not in self.tensors:
            self.misfits.append(f"{name} is missing")
            return zeros
        self.used.add(name)
        tensor = self.tensors[name]
        value = from_torch(tensor, shape, self.names.flattened.get(variable.rsplit("/", 1)[0]))
        if value is None:
            sides = f"{list(tensor.shape)} in the file, {list(torch_shape(shape))} in the net"
            self.misfits.append(f"{name} is {sides}")
            return zeros
        if not np.isfinite(value).all():
            self.misfits.append(f"{name} has values that are not finite")
        return value


def find_name_map(model: str) -> NameMap:
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


def strip_tensor_names(tensors: FlatTree, names: NameMap) -> tuple[FlatTree, str]:
    """Without `num_batches_tracked`, which old files lack, and without the prefix of all names.

    Wrappers put one before them: `module.` (DataParallel), `_orig_mod.` (torch.compile), `model.`,
    `backbone.`. What the map itself names is no prefix.
    """
    tensors = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    known = {name for form in names.forms for name in (*form.modules.values(), *form.aliases)}
    prefix = ""
    while tensors and not any(name.rpartition(".")[0] in known for name in tensors):
        firsts = {name.partition(".")[0] for name in tensors}
        if len(firsts) > 1 or not all("." in name for name in tensors):
            break
        prefix += f"{firsts.pop()}."
        tensors = {name.partition(".")[2]: value for name, value in tensors.items()}
    return {with_alias(name, names.aliases): value for name, value in tensors.items()}, prefix


def with_alias(name: str, aliases: dict[str, str]) -> str:
    """A tensor's name as the map has it, where the file has another source's."""
    module, _, leaf = name.rpartition(".")
    return f"{aliases[module]}.{leaf}" if module in aliases else name


def layers_of_heads(names: NameMap, head: Collection[str], tensors: FlatTree) -> set[str]:
    """The file's tensors under its classifiers' names that are no part of one dense layer.

    A head of several layers has them: `fc.0.weight`, where the net has `fc.weight`.
    """
    modules = head_modules(names, head)
    single = {torch_tensor_name(names, variable) for variable in head}
    return {n for n in tensors if n not in single and any(n.startswith(f"{m}.") for m in modules)}


def head_modules(names: NameMap, head: Collection[str]) -> set[str]:
    """The file's names of the classifiers."""
    tensors = (torch_tensor_name(names, variable) or "" for variable in head)
    return {name.rpartition(".")[0] for name in tensors}


def has_auxiliary(names: NameMap, tensors: FlatTree) -> bool:
    """Whether the file has tensors of the net's auxiliary heads."""
    heads = {torch for module, torch in names.modules.items() if module.startswith("auxiliary")}
    return any(name.rsplit(".", 1)[0] in heads for name in tensors)


def net_options(model: str, names: NameMap, auxiliary: bool) -> dict[str, Any]:
    """The options of the net that fits the file."""
    options = dict(names.options)
    if "auxiliary" in models.REGISTRY[model].options():
        options["auxiliary"] = auxiliary
    return options


def tensor_shapes(net: nn.Module, model: str) -> tuple[Shapes, Shapes]:
    """The shapes of a net's (params, batch_stats), by flat names, at its paper's input size."""
    image = jax.ShapeDtypeStruct((1, *models.REGISTRY[model].input_shape), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), image)

    def flat_shapes(name: str) -> Shapes:
        return {path: leaf.shape for path, leaf in flatten(variables.get(name, {})).items()}

    return flat_shapes("params"), flat_shapes("batch_stats")


def head_tensors(model: str, options: dict[str, Any]) -> tuple[str, ...]:
    """The parameters whose shape follows the number of classes: the classifiers' tensors."""
    two, three = (
        tensor_shapes(models.create(model, classes, **options), model)[0] for classes in (2, 3)
    )
    return tuple(name for name in two if two[name] != three[name])


def classifier_name(names: NameMap, head: Collection[str]) -> str:
    """The file's name of the kernel whose rows are the classes."""
    kernels = (name for name in head if name.endswith("/kernel"))
    kernel = next(name for name in kernels if not name.startswith("auxiliary"))
    return torch_tensor_name(names, kernel) or ""


def misfit_error(model: str, path: str | Path, tensors: FlatTree, misfits: list[str]) -> UserError:
    """The error for a file that is not this net's, with the nets whose modules it does have."""
    if fits(model, tensors):
        hint = " (--head=drop leaves its classifiers out)"
    else:
        twins = [name for name in MAPS if fits(name, tensors)]
        hint = f" (it fits {' and '.join(twins)})" if twins else ""
    shown = "; ".join(misfits[:3])
    more = f"; and {len(misfits) - 3} more" if len(misfits) > 3 else ""
    return UserError(f"{path} does not fit {model}{hint}: {shown}{more}")


def fits(model: str, tensors: FlatTree) -> bool:
    """Whether the file is this net's, whatever its number of classes."""
    names = form_of(MAPS[model](), tensors)
    every = set(names.modules.values())
    main = {torch for module, torch in names.modules.items() if not module.startswith("auxiliary")}
    modules = {name.rpartition(".")[0] for name in tensors}
    # Of a head of several layers these are not the net's, but lie below one that is.
    below = {m: t for m in modules - every for t in main - modules if m.startswith(f"{t}.")}
    modules = {below.get(module, module) for module in modules}
    lacking = main - modules
    if modules - every or len(lacking) > 1 or modules | lacking not in (main, every):
        return False
    options = net_options(model, names, modules | lacking != main)
    head = head_tensors(model, options)
    if not {*lacking, *below.values()} <= head_modules(names, head):
        return False
    for shapes in tensor_shapes(models.create(model, 2, **options), model):
        for variable, shape in shapes.items():
            tensor = tensors.get(torch_tensor_name(names, variable) or "")
            sides = names.flattened.get(variable.rsplit("/", 1)[0])
            if variable in head:
                continue
            if tensor is None or from_torch(tensor, shape, sides) is None:
                return False
    return True


def detect_transform_input(
    imported: ImportedNet, digest: str, reference: str | Path | None
) -> bool:
    """Whether the weights expect re-normalised inputs, from the file's hash or the reference."""
    prefix = imported.names.transforms_input
    if prefix and digest.startswith(prefix):
        return True
    if reference and (meta := Path(reference) / "meta.json").is_file():
        try:
            return bool(read_json_object(meta, "transform_input")["transform_input"])
        except (OSError, ValueError):
            return False
    return False


def preprocessing_record(imported: ImportedNet, transform_input: bool) -> dict[str, Any]:
    """What the weights expect of an image, for `weights.json`."""
    record = dataclasses.asdict(imported.names.preprocessing)
    return {**record, "mean": (0.5,) * 3, "std": (0.5,) * 3} if transform_input else record
